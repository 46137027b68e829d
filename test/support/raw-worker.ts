import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { request, type ClientRequest, type IncomingMessage } from 'node:http';
import { wireHeaders, type Frame } from '../../core/member/protocol.ts';
import { readSse } from '../../core/text/sse.ts';

export interface Told {
  status: number;
  /** The body as JSON; undefined when it is none. */
  json: { code?: string; error?: string; outcome?: string } | undefined;
}

/** A worker of the sse transport that says exactly what a test lets it say, on the wire and nowhere else. */
export interface RawWorker {
  session: string;
  instance: string;
  /** POSTs a body to `_provider-<what>`; an object as JSON. */
  post(what: string, body: unknown, headers?: Record<string, string>): Promise<Told>;
  register(providers: readonly object[], more?: object): Promise<Told>;
  /** Opens the control stream; `frames` and `status` are of this one. */
  open(headers?: Record<string, string>): Promise<ControlStream>;
  /** Opens the answer to a task; it ends with the edge's answer. */
  answer(taskId: string, headers?: Record<string, string>): AnswerStream;
}

export interface ControlStream {
  status: number;
  /** The next frame of this kind; fails when the stream ends before. */
  frame<K extends Frame['kind']>(kind: K): Promise<Extract<Frame, { kind: K }>>;
  close(): void;
}

export interface AnswerStream {
  /** Resolves when the bytes were handed to the system; false when the edge has closed. */
  write(text: string | Uint8Array): Promise<boolean>;
  line(line: object): Promise<boolean>;
  end(): void;
  /** What the edge answered, also in the middle; status 0 when it only closed. */
  answered: Promise<Told>;
}

export function rawWorker(url: string, token: string): RawWorker {
  const session = randomUUID();
  const instance = randomUUID();
  const authorization = `Bearer ${token}`;
  const self = {
    [wireHeaders.session]: session,
    [wireHeaders.instance]: instance,
    [wireHeaders.running]: '',
  };
  const post: RawWorker['post'] = async (what, body, headers = {}) => {
    const answer = await fetch(`${url}/api/v1/llms/_provider-${what}`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    return { status: answer.status, json: jsonOf(await answer.text()) };
  };
  return {
    session,
    instance,
    post,
    register: (providers, more = {}) =>
      post('register', {
        providerSessionId: session,
        instanceId: instance,
        protocol: 1,
        // An older one does not say its version, nor that its claims run: the relay would vouch for them.
        workerVersion: '0.0.0-raw',
        transports: ['sse'],
        providers: providers.map((provider) => ({ type: 'openai', model: 'tiny', ...provider })),
        ...more,
      }),
    async open(headers = {}) {
      const sent = request(`${url}/api/v1/llms/_provider-stream`, {
        agent: false,
        headers: { authorization, ...self, ...headers },
      });
      sent.end();
      const [res] = (await once(sent, 'response')) as [IncomingMessage];
      return controlOf(sent, res);
    },
    answer(taskId, headers = {}) {
      const sent = request(`${url}/api/v1/llms/_provider-task/${taskId}/stream`, {
        agent: false,
        method: 'POST',
        headers: {
          authorization,
          'content-type': 'application/x-ndjson',
          [wireHeaders.session]: session,
          ...headers,
        },
      });
      sent.flushHeaders();
      return answerOf(sent);
    },
  };
}

function controlOf(sent: ClientRequest, res: IncomingMessage): ControlStream {
  sent.on('error', () => undefined); // its reader hears of it
  const kept: Frame[] = [];
  const status = res.statusCode ?? 0;
  const events = status === 200 ? readSse(res)[Symbol.asyncIterator]() : undefined;
  if (!events) res.resume();
  return {
    status,
    async frame(kind) {
      const at = kept.findIndex((frame) => frame.kind === kind);
      if (at !== -1) return kept.splice(at, 1)[0] as Extract<Frame, { kind: typeof kind }>;
      for (;;) {
        const next = await events?.next();
        if (!next || next.done === true)
          throw new TypeError(`the stream (${String(status)}) ended before a frame '${kind}'`);
        if (next.value.event !== 'task') continue;
        const frame = JSON.parse(next.value.data) as Frame;
        if (frame.kind === kind) return frame as Extract<Frame, { kind: typeof kind }>;
        kept.push(frame);
      }
    },
    close: () => sent.destroy(),
  };
}

function answerOf(sent: ClientRequest): AnswerStream {
  let open = true;
  const answered = new Promise<Told>((resolve) => {
    const over = (answer: Told): void => {
      open = false;
      resolve(answer);
    };
    sent.on('response', (res) => {
      let text = '';
      res.on('data', (piece: Buffer) => (text += piece.toString()));
      const done = (): void => over({ status: res.statusCode ?? 0, json: jsonOf(text) });
      res.on('end', done).on('error', done);
    });
    sent.on('error', () => over({ status: 0, json: undefined }));
    sent.on('close', () => setImmediate(() => over({ status: 0, json: undefined })));
  });
  const write: AnswerStream['write'] = async (text) => {
    if (!open || sent.destroyed) return false;
    if (sent.write(text)) return true;
    await Promise.race([once(sent, 'drain'), answered]).catch(() => undefined);
    return open && !sent.destroyed;
  };
  return { write, line: (line) => write(`${JSON.stringify(line)}\n`), end: () => void sent.end(), answered };
}

function jsonOf(text: string): Told['json'] {
  try {
    return JSON.parse(text) as Told['json'];
  } catch {
    return undefined; // its status is what counts
  }
}
