import type { ServerResponse } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import { nowMs } from '../report/clock.ts';
import type { Script } from './script.ts';

const base = '"id":"chatcmpl-bench","created":1700000000,"model":"bench"';
const frame = (delta: string, finish = 'null'): string =>
  `data: {${base},"object":"chat.completion.chunk","choices":[{"index":0,"delta":${delta},"finish_reason":${finish}}]}\n\n`;
const [before = '', after = ''] = frame('{"content":"word |"}').split('|');
const first = frame('{"role":"assistant","content":""}');
const plain = `${before}${after}`;
const last = frame('{}', '"stop"');

/** How many writes of a flood are made before other calls have their turn. */
const A_TURN = 64;

export function whole(res: ServerResponse, { tokens }: Script): void {
  const message = `{"role":"assistant","content":"${'word '.repeat(tokens)}"}`;
  const usage = `{"prompt_tokens":1,"completion_tokens":${String(tokens)},"total_tokens":${String(tokens + 1)}}`;
  const choices = `[{"index":0,"message":${message},"finish_reason":"stop"}]`;
  const text = `{${base},"object":"chat.completion","choices":${choices},"usage":${usage}}`;
  res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  res.end(text);
}

export async function streamed(res: ServerResponse, script: Script): Promise<void> {
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  if (script.tokens > 0) res.write(first);
  if (script.flood > 0) await flood(res, script);
  else if (script.everyMs > 0) await paced(res, script);
  else for (let n = 0; n < script.tokens; n++) res.write(token(script, n));
  if (script.holds || res.destroyed) return; // until the caller closes
  res.write(last);
  res.end('data: [DONE]\n\n');
}

const token = ({ stamped }: Script, n: number): string =>
  stamped ? `${before}${String(n)} ${nowMs().toFixed(3)} ${after}` : plain;

/** One token a tick. A tick that comes late on a busy machine makes the stream longer, and not the next tick early. */
function paced(res: ServerResponse, script: Script): Promise<void> {
  return new Promise((resolve) => {
    let n = 0;
    const done = (): void => {
      clearInterval(ticks);
      resolve();
    };
    const ticks = setInterval(() => {
      res.write(token(script, n));
      n += 1;
      if (n === script.tokens) done();
    }, script.everyMs);
    res.once('close', done);
  });
}

function untilTaken(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      res.off('drain', done).off('close', done);
      resolve();
    };
    res.once('drain', done).once('close', done);
  });
}

async function flood(res: ServerResponse, { tokens, flood: perWrite }: Script): Promise<void> {
  const page = Buffer.from(plain.repeat(perWrite));
  let left = tokens;
  for (let writes = 1; left > 0 && !res.destroyed; writes++) {
    const taken = res.write(left >= perWrite ? page : plain.repeat(left));
    left -= perWrite;
    if (!taken && !res.destroyed) await untilTaken(res);
    else if (writes % A_TURN === 0) await turn();
  }
}
