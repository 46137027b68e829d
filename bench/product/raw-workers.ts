import { randomUUID } from 'node:crypto';
import { Agent, request, type ClientRequest, type IncomingMessage } from 'node:http';
import { McpctlError } from '../../core/errors.ts';
import { pause, systemClock as clock } from '../../core/runtime/clock.ts';
import { nowMs } from '../report/clock.ts';
import type { Product } from './product.ts';

/** A worker of the sse transport with no backend: it registers, and holds its control stream. */
export interface RawWorker {
  /** When its stream last said hello, by the monotonic clock; undefined while it has none. */
  helloAtMs: number | undefined;
  /** Tries that failed so far. */
  failed: number;
  /** Resets its connection, as a proxy that restarts. It comes back by itself. */
  reset(): void;
}

export interface RawWorkers {
  all: readonly RawWorker[];
  /** Resolves when every one has a stream whose hello came after `sinceMs`. @throws McpctlError `timed_out`. */
  untilServing(sinceMs: number, withinMs: number): Promise<void>;
  stop(): Promise<void>;
}

const HEARTBEAT_MS = 30_000;
/** As docs/spec.md §3: first after 0–250 ms, then jittered from 5 s. */
const FIRST_MS = 250;
const AGAIN_MS = 5_000;
const POOL_OF = 10;
const AT_ONCE = 20;

/** So many of them, in pools of ten. */
export async function startRawWorkers(product: Product, count: number): Promise<RawWorkers> {
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const stopping = new AbortController();
  const run = randomUUID().slice(0, 8);
  const all: (RawWorker & { stop(): void })[] = [];
  const post = postTo(product, agent);
  const next = { n: 0 };
  const start = async (): Promise<void> => {
    for (let n = next.n++; n < count; n = next.n++) {
      all.push(await startOne({ product, post, stopping: stopping.signal }, { run, n }));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, start));
  return {
    all,
    async untilServing(sinceMs, withinMs) {
      const until = clock.elapsed() + withinMs;
      const late = (): number => all.filter(({ helloAtMs: at }) => at === undefined || at < sinceMs).length;
      while (late() > 0) {
        if (clock.elapsed() > until)
          throw new McpctlError('timed_out', `${String(late())} of ${String(count)} workers have no stream.`);
        await pause(5);
      }
    },
    async stop() {
      stopping.abort();
      for (const worker of all) worker.stop();
      await pause(100);
      agent.destroy();
    },
  };
}

type Post = (path: string, body: object) => Promise<number>;

function postTo({ url, token }: Product, agent: Agent): Post {
  return (path, body) =>
    new Promise((resolve, reject) => {
      const text = JSON.stringify(body);
      const headers = {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
      };
      const sent = request(`${url}/api/v1/llms/${path}`, { agent, method: 'POST', headers });
      sent.on('error', reject);
      sent.on('response', (res) => res.resume().on('end', () => resolve(res.statusCode ?? 0)));
      sent.end(text);
    });
}

async function startOne(
  { product, post, stopping }: { product: Product; post: Post; stopping: AbortSignal },
  { run, n }: { run: string; n: number },
): Promise<RawWorker & { stop(): void }> {
  const providerSessionId = randomUUID();
  const instanceId = randomUUID();
  const name = `idle-${run}-${String(n)}`;
  const poolName = `idle-${run}-pool-${String(Math.floor(n / POOL_OF))}`;
  const providers = [{ name, poolName, type: 'openai', model: 'bench', maxConcurrency: 4 }];
  const body = {
    providerSessionId,
    instanceId,
    protocol: 1,
    workerVersion: 'bench',
    transports: ['sse'],
    providers,
  };
  const status = await post('_provider-register', body);
  if (status !== 201) throw new McpctlError('bad_answer', `Registering was answered with ${String(status)}.`);
  const beat = (): void => {
    post('_provider-heartbeat', { providerSessionId }).catch(() => undefined); // the next one is soon
  };
  const beats = setInterval(beat, HEARTBEAT_MS);
  let current: ClientRequest | undefined;
  const worker = {
    helloAtMs: undefined as number | undefined,
    failed: 0,
    reset: () => current?.destroy(),
    stop,
  };
  const open = (): Promise<void> =>
    new Promise((closed) => {
      const headers = {
        authorization: `Bearer ${product.token}`,
        accept: 'text/event-stream',
        'x-mcpctl-provider-session': providerSessionId,
        'x-mcpctl-instance': instanceId,
      };
      const at = `${product.url}/api/v1/llms/_provider-stream`;
      current = request(at, { agent: false, headers });
      current.on('response', (res: IncomingMessage) => {
        if (res.statusCode !== 200) worker.failed += 1;
        res.on('data', (piece: Buffer) => {
          if (piece.includes('event: hello')) worker.helloAtMs = nowMs();
        });
        res.on('error', () => undefined).on('close', closed);
      });
      current.on('error', () => (worker.failed += 1));
      current.on('close', closed);
      current.end();
    });
  const keep = async (): Promise<void> => {
    for (let lost = 0; !stopping.aborted;) {
      const before = worker.helloAtMs;
      await open();
      lost = worker.helloAtMs === before ? lost + 1 : 0;
      worker.helloAtMs = undefined;
      await pause(lost === 0 ? FIRST_MS * clock.random() : AGAIN_MS * (0.5 + clock.random() / 2), stopping);
    }
  };
  function stop(): void {
    clearInterval(beats);
    current?.destroy();
  }
  void keep();
  return worker;
}
