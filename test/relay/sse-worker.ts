import { randomUUID } from 'node:crypto';
import { request, type ClientRequest, type IncomingMessage } from 'node:http';
import { parseFrame, registeredSchema, type Frame, type Registered } from '../../core/member/protocol.ts';
import { pause } from '../../core/runtime/clock.ts';

export interface Answer {
  status: number;
  json: Record<string, unknown>;
}

/** One `_provider-task/:id/stream` request, its lines written by hand. */
export interface Uplink {
  req: ClientRequest;
  line(...lines: unknown[]): void;
  raw(bytes: string | Buffer): boolean;
  /** Beats every 300 ms until the answer comes. */
  beating(): Uplink;
  end(): Promise<Answer>;
  answer: Promise<Answer>;
}

export interface Stream {
  /** Every named event that came, in order. */
  events: { name: string; data: string }[];
  frames: Frame[];
  /** The next frame of a kind that was not asked for yet; fails after ten seconds. */
  next<K extends Frame['kind']>(kind: K): Promise<Extract<Frame, { kind: K }>>;
  until(what: string, fits: () => boolean): Promise<void>;
  closed: Promise<void>;
  /** As a process that is killed: no more than the connection's end. */
  cut(): void;
}

const WITHIN_MS = 30_000;

/** A worker of the sse transport, by raw HTTP: what the wire says, and nothing that our own worker adds. */
export class SseWorker {
  session: string | undefined;
  readonly instance: string | undefined;
  llms: Registered['llms'] = [];
  readonly #token: string;
  readonly #open = new Set<ClientRequest>();
  url: string;

  constructor({
    url,
    token,
    instance = randomUUID(),
  }: {
    url: string;
    token: string;
    instance?: string | null;
  }) {
    this.url = url;
    this.#token = token;
    this.instance = instance ?? undefined;
  }

  async register(providers: readonly Record<string, unknown>[], more: object = {}): Promise<Answer> {
    const answer = await this.post('_provider-register', {
      transports: ['sse'],
      workerVersion: '0.0.0-test',
      ...(this.instance === undefined ? {} : { instanceId: this.instance }),
      ...(this.session === undefined ? {} : { providerSessionId: this.session }),
      providers: providers.map((offer) => ({ type: 'openai', model: 'tiny', ...offer })),
      ...more,
    });
    if (answer.status !== 201) return answer;
    const registered = registeredSchema.parse(answer.json);
    this.session = registered.providerSessionId;
    this.llms = registered.llms;
    return answer;
  }

  heartbeat(more: object = {}): Promise<Answer> {
    return this.post('_provider-heartbeat', { providerSessionId: this.session, ...more });
  }

  goodbye(): Promise<Answer> {
    return this.post('_provider-goodbye', { providerSessionId: this.session });
  }

  result(taskId: string, body: object): Promise<Answer> {
    return this.post(`_provider-task/${taskId}/result`, body);
  }

  /** Resolves with the open stream, or the refusal. */
  async tryOpen(headers: Record<string, string> = {}): Promise<Stream | Answer> {
    const all = {
      'x-mcpctl-provider-session': this.session ?? '',
      ...(this.instance === undefined ? {} : { 'x-mcpctl-instance': this.instance }),
      ...headers,
    };
    const req = this.#request('GET', '_provider-stream', all);
    req.end();
    const res = await responseTo(req);
    return res.statusCode === 200 ? streamOf(req, res) : await answerOf(res);
  }

  /** Opens the control stream and waits for `hello`. */
  async open(headers: Record<string, string> = {}): Promise<Stream> {
    const stream = await this.tryOpen(headers);
    if (!('events' in stream)) throw new TypeError(`no stream: ${JSON.stringify(stream)}`);
    await stream.until('hello', () => stream.events.some((event) => event.name === 'hello'));
    return stream;
  }

  uplink(
    { taskId, claimId }: { taskId: string; claimId?: string },
    headers: Record<string, string> = {},
  ): Uplink {
    const req = this.#request('POST', `_provider-task/${taskId}/stream`, {
      'content-type': 'application/x-ndjson',
      'transfer-encoding': 'chunked',
      ...(claimId === undefined ? {} : { 'x-mcpctl-claim': claimId }),
      ...(this.session === undefined ? {} : { 'x-mcpctl-provider-session': this.session }),
      ...headers,
    });
    req.flushHeaders();
    const answer = responseTo(req).then(answerOf);
    answer.catch(() => undefined);
    const line = (...lines: unknown[]): void => {
      if (!req.destroyed) req.write(lines.map((l) => `${JSON.stringify(l)}\n`).join(''));
    };
    let stopBeating = (): void => undefined;
    const uplink: Uplink = {
      req,
      line,
      raw: (bytes) => req.write(bytes),
      beating() {
        const timer = setInterval(() => {
          if (!req.writableEnded) line({ beat: true }); // a test may end the request by itself
        }, 300);
        stopBeating = () => clearInterval(timer);
        answer.then(stopBeating, stopBeating);
        req.once('close', stopBeating);
        return uplink;
      },
      end() {
        stopBeating();
        req.end();
        return answer;
      },
      answer,
    };
    return uplink;
  }

  /** Serves one task whole: `{seq,data}` for each, then the end. */
  async serve(
    frame: { taskId: string; claimId: string },
    data: readonly string[],
    end: object,
  ): Promise<Answer> {
    const uplink = this.uplink(frame);
    data.forEach((text, i) => uplink.line({ seq: i + 1, data: text }));
    uplink.line({ end });
    return await uplink.end();
  }

  async post(path: string, body: unknown): Promise<Answer> {
    const req = this.#request('POST', path, { 'content-type': 'application/json' });
    req.end(JSON.stringify(body));
    return await answerOf(await responseTo(req));
  }

  /** Every connection breaks, as when its process is killed. */
  kill(): void {
    for (const req of this.#open) req.destroy();
  }

  #request(method: string, path: string, headers: Record<string, string>): ClientRequest {
    const req = request(`${this.url}/api/v1/llms/${path}`, {
      method,
      agent: false,
      headers: { authorization: `Bearer ${this.#token}`, ...headers },
    });
    req.on('error', () => undefined);
    this.#open.add(req);
    req.once('close', () => this.#open.delete(req));
    return req;
  }
}

function responseTo(req: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    req.once('response', resolve);
    req.once('error', reject);
    req.once('close', () => reject(new TypeError('the connection closed without an answer')));
  });
}

async function answerOf(res: IncomingMessage): Promise<Answer> {
  let text = '';
  res.setEncoding('utf8');
  for await (const piece of res) text += String(piece);
  return { status: res.statusCode ?? 0, json: JSON.parse(text) as Record<string, unknown> };
}

function streamOf(req: ClientRequest, res: IncomingMessage): Stream {
  const events: Stream['events'] = [];
  const frames: Frame[] = [];
  const asked = new Set<Frame>();
  let buffer = '';
  let name = '';
  res.setEncoding('utf8').on('data', (piece: string) => {
    buffer += piece;
    for (let at = buffer.indexOf('\n'); at >= 0; at = buffer.indexOf('\n')) {
      const line = buffer.slice(0, at);
      buffer = buffer.slice(at + 1);
      if (line.startsWith(':')) events.push({ name: 'comment', data: line });
      if (line.startsWith('event: ')) name = line.slice(7);
      if (!line.startsWith('data: ')) continue;
      events.push({ name, data: line.slice(6) });
      const frame = name === 'task' ? parseFrame(line.slice(6)) : null;
      if (frame) frames.push(frame);
    }
  });
  res.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => res.once('close', resolve));
  const until = async (what: string, fits: () => boolean): Promise<void> => {
    const deadline = performance.now() + WITHIN_MS;
    while (!fits()) {
      if (performance.now() > deadline)
        throw new TypeError(`${what} did not come: ${JSON.stringify(events)}`);
      await pause(5);
    }
  };
  return {
    events,
    frames,
    until,
    closed,
    async next(kind) {
      const find = (): Frame | undefined => frames.find((f) => f.kind === kind && !asked.has(f));
      await until(`a frame ${kind}`, () => find() !== undefined);
      const frame = find() as Extract<Frame, { kind: typeof kind }>;
      asked.add(frame);
      return frame;
    },
    cut: () => void req.destroy(),
  };
}
