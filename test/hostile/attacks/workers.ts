import { randomUUID } from 'node:crypto';
import { rawWorker } from '../../support/raw-worker.ts';
import { json, overConnections, requestOf, untilNext, type Attack, type Target } from '../attack.ts';
import { headOf } from '../raw.ts';
import { wireHeaders } from '../../../core/protocol.ts';

type Prepared = Omit<Target, 'over'>;

const aborted = (over: AbortSignal): Promise<null> =>
  new Promise((resolve) => over.addEventListener('abort', () => resolve(null), { once: true }));

/** A worker of the attacker's own, which is asked by the attacker and answers with `piece`, again and again. */
const answers =
  (piece: (n: number) => string, each: number): Attack['prepare'] =>
  (target) =>
  async (over) => {
    const url = `http://127.0.0.1:${String(target.port)}`;
    const worker = rawWorker(url, target.token);
    const name = `mallorys-${randomUUID().slice(0, 8)}`;
    const registered = await worker.register([{ name, maxConcurrency: 4 }]);
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
    const answer = worker.answer(frame.taskId);
    let bytes = 0;
    for (let n = 0; n < 4_000 && !over.aborted; n++) {
      const text = Array.from({ length: each }, (_, at) => piece(n * each + at)).join('');
      bytes += text.length;
      if (!(await answer.write(text))) break;
    }
    const done = await calling;
    control.close();
    await worker.post('goodbye', { providerSessionId: worker.session });
    return { bytes: bytes + done.bytes, requests: done.requests + 3 };
  };

/** Calls of a session that there is, as fast as they go. */
const says =
  (everyMs: number, make: (target: Prepared, session: string, n: number) => Buffer): Attack['prepare'] =>
  (target) =>
  async (over) => {
    const worker = rawWorker(`http://127.0.0.1:${String(target.port)}`, target.token);
    await worker.register([{ name: `mallorys-${randomUUID().slice(0, 8)}` }]);
    const done = await overConnections(target, { count: 8 }, async (line) => {
      for (let n = 0; line.isOn(); n++) {
        await line.send(make(target, worker.session, n));
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
  'worker-heartbeats': {
    about: 'heartbeats of a session, hundreds a second',
    needsAnswers: true,
    prepare: says(10, (target, providerSessionId) =>
      requestOf(target, {
        path: '/api/v1/llms/_provider-heartbeat',
        body: JSON.stringify({ providerSessionId }),
      }),
    ),
  },
  'worker-registers': {
    about: 'a session that registers again and again, with 64 llms',
    needsAnswers: true,
    prepare: says(50, (target, providerSessionId, n) =>
      requestOf(target, {
        path: '/api/v1/llms/_provider-register',
        body: JSON.stringify({
          providerSessionId,
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
    prepare: says(20, (target, session) =>
      Buffer.from(
        headOf('GET /api/v1/llms/_provider-stream', target.token, [
          json,
          `${wireHeaders.session}: ${session}`,
        ]),
      ),
    ),
  },
};
