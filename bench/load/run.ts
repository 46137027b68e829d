import { messageOf } from '../../core/errors.ts';
import { nowMs } from '../report/clock.ts';
import { openConnection, type Connection } from './connection.ts';
import type { Job, Measured, Target } from './job.ts';
import { readStream } from './stream.ts';

const MOST_REASONS = 5;

/** @returns what happened at each target, in their order. */
export async function runJob(job: Job): Promise<Measured[]> {
  const lanes = await Promise.all(job.targets.map((target) => prepare(target, job)));
  const from = nowMs();
  const until = job.forMs === undefined ? Infinity : from + job.forMs;
  let began = 0;
  const may = (): boolean => began < (job.calls ?? Infinity) && nowMs() < until;
  const one = async (n: number): Promise<void> => {
    while (may()) {
      const turn = began++;
      for (const lane of lanes) await lane.call(n, turn);
    }
  };
  await Promise.all(Array.from({ length: job.concurrency }, (_, n) => one(n)));
  const seconds = (nowMs() - from) / 1_000;
  return lanes.map((lane) => lane.end(seconds));
}

/** One target: a connection for each call that is under way at once, and what was found. */
async function prepare({ url, headers, bodies }: Target, { concurrency, tokens, ...job }: Job) {
  const at = new URL(url);
  const requests = (bodies ?? job.bodies).map((body) => requestOf(at, headers, body));
  const open = (): Promise<Connection> => openConnection(at);
  const connections = await Promise.all(Array.from({ length: concurrency }, open));
  const measured: Measured = {
    calls: 0,
    seconds: 0,
    total: [],
    first: [],
    lag: [],
    tokens: 0,
    gap: [],
    lost: 0,
    why: [],
  };
  const lost = (why: string): void => {
    measured.lost += 1;
    if (measured.why.length < MOST_REASONS) measured.why.push(why);
  };
  return {
    async call(n: number, turn: number): Promise<void> {
      const request = requests[turn % requests.length];
      const connection = connections[n];
      if (!request || !connection) return;
      const fromMs = nowMs();
      let text = '';
      const stream = tokens === undefined ? undefined : readStream(measured, fromMs, tokens);
      try {
        measured.calls += 1;
        const status = await connection.call(request, (piece) => {
          if (stream) stream.take(piece);
          if (!stream || text.length < 300) text += piece;
        });
        const total = nowMs() - fromMs;
        const fault = stream?.end();
        if (status !== 200 && status !== 202) lost(`status ${String(status)}: ${text.slice(0, 300)}`);
        else if (fault !== undefined) lost(fault);
        else measured.total.push(total);
      } catch (thrown) {
        stream?.end();
        lost(messageOf(thrown));
        connection.close();
        connections[n] = await open();
      }
    },
    end(seconds: number): Measured {
      for (const connection of connections) connection.close();
      return { ...measured, seconds };
    },
  };
}

function requestOf({ host, pathname, search }: URL, headers: Record<string, string>, body: string): Buffer {
  const lines = Object.entries({
    host,
    ...headers,
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`POST ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
}
