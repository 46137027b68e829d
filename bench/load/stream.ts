import { nowMs } from '../report/clock.ts';
import type { Measured } from './job.ts';

/** Reads one streamed answer of the scripted backend as it comes. */
export interface StreamReader {
  take(piece: string): void;
  /** Files what was seen. @returns why it was not the whole answer; undefined if it was. */
  end(): string | undefined;
}

/** Of chat `content`, of Responses `delta`, of Messages `text`. */
const TOKEN = ':"word ';
const ENDS = ['response.completed', 'message_stop'];

/** @param tokens that a whole answer has */
export function readStream(measured: Measured, fromMs: number, tokens: number): StreamReader {
  let rest = '';
  let seen = 0;
  let lastMs = 0;
  let gap = 0;
  let done = false;
  let fault: string | undefined;
  const token = (text: string, at: number): void => {
    const now = nowMs();
    if (seen === 0) measured.first.push(now - fromMs);
    else gap = Math.max(gap, now - lastMs);
    lastMs = now;
    // Stamped: its number and when it was written. Else the content ends here.
    if (text.charCodeAt(at) !== 34) {
      const [n, ms] = text.slice(at, text.indexOf('"', at)).split(' ');
      if (Number(n) !== seen) fault ??= `token ${String(n)} where ${String(seen)} was due`;
      measured.lag.push(now - Number(ms));
    }
    seen += 1;
  };
  const frame = (text: string, at: number, to: number): void => {
    const data = text.indexOf('data: ', at);
    if (data < 0 || data >= to) return; // a comment: the connection is kept
    // Named events repeat at the end what their deltas have said.
    const name = text.startsWith('event: ', at) ? text.slice(at + 7, text.indexOf('\n', at)) : undefined;
    if (name !== undefined && ENDS.includes(name)) done = true;
    const content = name === undefined || name.includes('delta') ? text.indexOf(TOKEN, data) : -1;
    if (content >= 0 && content < to) return token(text, content + TOKEN.length);
    if (text.startsWith('[DONE]', data + 6)) done = true;
    else if (text.slice(data, to).includes('"error":{')) fault ??= text.slice(data, Math.min(to, data + 300));
  };
  return {
    take(piece) {
      const text = rest === '' ? piece : rest + piece;
      let at = 0;
      for (let to = text.indexOf('\n\n', at); to >= 0; to = text.indexOf('\n\n', at)) {
        frame(text, at, to);
        at = to + 2;
      }
      rest = text.slice(at);
    },
    end() {
      measured.tokens += seen;
      if (seen > 0) measured.gap.push(Math.max(gap, nowMs() - lastMs));
      if (fault !== undefined) return fault;
      if (seen !== tokens) return `${String(seen)} of ${String(tokens)} tokens`;
      return done ? undefined : 'no [DONE]';
    },
  };
}
