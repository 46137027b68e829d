import { randomUUID } from 'node:crypto';
import { rawWorker, type RawWorker } from '../../support/raw-worker.ts';
import {
  chunked,
  inPieces,
  json,
  overConnections,
  requestOf,
  untilNext,
  type Attack,
  type Target,
} from '../attack.ts';
import { headOf } from '../raw.ts';
import { pause } from '../../../core/runtime/clock.ts';
import { wireHeaders, type Frame } from '../../../core/member/protocol.ts';

type Prepared = Omit<Target, 'over'>;

/** Resolves when the time is over, also where it was before the attack came so far. */
const aborted = (over: AbortSignal): Promise<null> =>
  new Promise((resolve) => {
    if (over.aborted) resolve(null);
    over.addEventListener('abort', () => resolve(null), { once: true });
  });

/** How long an edge may take to be rid of connections that their other end has closed. */
const FULL_MS = 20_000;

type Asked = Extract<Frame, { kind: 'infer' }>;

/** Who speaks, as each call of a worker says. */
const headersOf = ({ session, instance }: RawWorker): string[] => [
  `${wireHeaders.session}: ${session}`,
  `${wireHeaders.instance}: ${instance}`,
];

/** A worker of the attacker's own, which is asked by the attacker and answers as told until the time is over. */
const asked =
  (
    answer: (
      target: Prepared,
      frame: Asked,
      { worker, over }: { worker: RawWorker; over: AbortSignal },
    ) => Promise<number>,
  ): Attack['prepare'] =>
  (target) =>
  async (over) => {
    const url = `http://127.0.0.1:${String(target.port)}`;
    const worker = rawWorker(url, target.token);
    const name = `mallorys-${randomUUID().slice(0, 8)}`;
    const register = () => worker.register([{ name, maxConcurrency: 4 }]);
    let registered = await register();
    // The attack before this one may have left an address full of connections, which the edge is still closing.
    for (const until = performance.now() + FULL_MS; registered.status === 429 && performance.now() < until;) {
      await pause(250);
      registered = await register();
    }
    if (registered.status !== 201) throw new TypeError(`registering: ${JSON.stringify(registered)}`);
    const control = await worker.open();
    const body = `{"model":"${name}","stream":true,"messages":[{"role":"user","content":"x"}]}`;
    const request = requestOf(target, { path: '/v1/chat/completions', body });
    const calling = overConnections(target, { count: 1 }, (line) => line.send(request))(over);
    const frame = await Promise.race([control.frame('infer'), aborted(over)]);
    if (frame === null) {
      control.close();
      return await calling;
    }
    const bytes = await answer(target, frame, { worker, over });
    const done = await calling;
    control.close();
    await worker.post('goodbye', { providerSessionId: worker.session });
    return { bytes: bytes + done.bytes, requests: done.requests + 3 };
  };

/** It answers with `piece`, again and again. */
const answers = (piece: (n: number) => string, each: number): Attack['prepare'] =>
  asked(async (_target, frame, { worker, over }) => {
    const answer = worker.answer(frame.taskId);
    let bytes = 0;
    for (let n = 0; n < 4_000 && !over.aborted; n++) {
      const text = Array.from({ length: each }, (_, at) => piece(n * each + at)).join('');
      bytes += text.length;
      if (!(await answer.write(text))) break;
    }
    return bytes;
  });

/** It answers with chunks of a byte, over several connections. */
const tinyChunks = asked(async (target, frame, { worker, over }) => {
  const head = headOf(`POST /api/v1/llms/_provider-task/${frame.taskId}/stream`, target.token, [
    'content-type: application/x-ndjson',
    chunked,
    ...headersOf(worker),
  ]);
  const piece = Buffer.from('1\r\nx\r\n'.repeat(10_000));
  const done = await overConnections(target, { count: 4 }, async (line) => {
    await line.send(head);
    for (let n = 0; n < 40 && line.isOn(); n++) await inPieces(line, piece);
  })(over);
  return done.bytes;
});

/** Calls of a session that there is, as fast as they go. */
const says =
  (everyMs: number, make: (target: Prepared, worker: RawWorker, n: number) => Buffer): Attack['prepare'] =>
  (target) =>
  async (over) => {
    const worker = rawWorker(`http://127.0.0.1:${String(target.port)}`, target.token);
    await worker.register([{ name: `mallorys-${randomUUID().slice(0, 8)}` }]);
    const done = await overConnections(target, { count: 8 }, async (line) => {
      for (let n = 0; line.isOn(); n++) {
        await line.send(make(target, worker, n));
        await untilNext(everyMs);
      }
    })(over);
    await worker.post('goodbye', { providerSessionId: worker.session });
    return { ...done, requests: done.requests + 2 };
  };

const event = JSON.stringify({
  id: 'c',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'm',
  choices: [{ index: 0, delta: { content: 'x' }, finish_reason: null }],
});

/** What a worker can do that somebody has published. */
export const workers: Readonly<Record<string, Attack>> = {
  'worker-events': {
    about: 'an answer of as many small events as the network carries',
    needsAnswers: true,
    prepare: answers((n) => `${JSON.stringify({ seq: n, data: event })}\n`, 200),
  },
  'worker-beats': {
    about: 'an answer that is only signs of life',
    needsAnswers: true,
    prepare: answers(() => '{"beat":true}\n', 2_000),
  },
  'worker-empty-lines': {
    about: 'an answer of empty lines',
    needsAnswers: true,
    prepare: answers(() => '\n', 20_000),
  },
  'worker-long-line': {
    about: 'an answer of one line without end',
    needsAnswers: true,
    prepare: answers(() => 'x'.repeat(100_000), 1),
  },
  'worker-tiny-chunks': {
    about: 'an answer in chunks of a byte',
    needsAnswers: true,
    prepare: tinyChunks,
  },
  'worker-heartbeats': {
    about: 'heartbeats of a session, hundreds a second',
    needsAnswers: true,
    prepare: says(10, (target, worker) =>
      requestOf(target, {
        path: '/api/v1/llms/_provider-heartbeat',
        body: JSON.stringify({ providerSessionId: worker.session }),
        headers: headersOf(worker),
      }),
    ),
  },
  'worker-registers': {
    about: 'a session that registers again and again, with 64 llms',
    needsAnswers: true,
    prepare: says(50, (target, { session: providerSessionId, instance: instanceId }, n) =>
      requestOf(target, {
        path: '/api/v1/llms/_provider-register',
        body: JSON.stringify({
          providerSessionId,
          instanceId,
          protocol: 1,
          workerVersion: '0.0.0-raw',
          transports: ['sse'],
          providers: Array.from({ length: 60 }, (_, at) => ({
            name: `mallorys-${String(n % 2)}-${String(at)}`,
            type: 'openai',
            model: 'tiny',
          })),
        }),
      }),
    ),
  },
  'worker-streams': {
    about: 'control streams that are opened again and again',
    needsAnswers: true,
    prepare: says(20, (target, worker) =>
      Buffer.from(headOf('GET /api/v1/llms/_provider-stream', target.token, [json, ...headersOf(worker)])),
    ),
  },
};
