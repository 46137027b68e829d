import { execFile } from 'node:child_process';
import { Client } from 'undici';
import { z } from 'zod';
import { anySignal } from '../../core/runtime/any-signal.ts';
import { atMost } from '../../core/runtime/clock.ts';
import { GrowingBytes } from '../../core/text/growing-bytes.ts';

const WITHIN_MS = 3_000;
const MOST_BYTES = 4 * 1024 * 1024;
/** Less than this is a desktop that is drawn. Per cent. */
const GPU_BUSY = 10;
const gpuQuery = {
  command: 'nvidia-smi',
  args: ['--query-gpu=utilization.gpu', '--format=csv,noheader,nounits'],
};

const slotsSchema = z.array(z.looseObject({ is_processing: z.boolean() }));
const loadedSchema = z.looseObject({
  models: z.array(z.looseObject({ name: z.string(), expires_at: z.string().optional() })),
});

/** What a look at a backend tells: how many calls it runs, or a text that changes when somebody has called it. */
type Seen = { running: number } | { mark: string };

/** How each type of backend tells who uses it, by a path beside its `/v1`; the others do not. */
const looks: Readonly<Record<string, { path: string; read: (text: string) => Seen }>> = {
  llamacpp: {
    path: '/slots',
    read: (text) => ({
      running: slotsSchema.parse(JSON.parse(text)).filter((slot) => slot.is_processing).length,
    }),
  },
  vllm: { path: '/metrics', read: (text) => ({ running: sumOf(text, 'vllm:num_requests_running') }) },
  sglang: { path: '/metrics', read: (text) => ({ running: sumOf(text, 'sglang:num_running_reqs') }) },
  // It counts no calls, but each puts off when its model is unloaded.
  ollama: {
    path: '/api/ps',
    read(text) {
      const { models } = loadedSchema.parse(JSON.parse(text));
      return { mark: models.map((model) => `${model.name} ${model.expires_at ?? ''}`).join() };
    },
  },
};

/** The values of a metric in Prometheus' text, whatever its labels. */
function sumOf(text: string, metric: string): number {
  const values = text.split('\n').flatMap((line) => {
    if (!line.startsWith(metric) || !/^[{ ]/.test(line.slice(metric.length))) return [];
    return Number(/ ([\d.e+-]+)(?: \d+)?$/i.exec(line)?.[1] ?? 0) || 0;
  });
  return values.reduce((sum, value) => sum + value, 0);
}

/** One backend, and how many calls of it are this worker's. */
export interface Looked {
  type: string;
  url: URL;
  /** The same text for the same backend. */
  backend: string;
  running: () => number;
}

/** Tells when a machine is used by somebody else than this worker, as far as that can be told. */
export class OthersUse {
  readonly #backends: readonly Looked[];
  readonly #marks = new Map<string, string>();
  /** Others were seen at the last look: it counts with the next one, as what just ended here may be listed there still. */
  #before = false;
  #hasGpu = true;
  #asked: Promise<boolean> | undefined;

  constructor(backends: readonly Looked[]) {
    this.#backends = backends;
  }

  /** Never throws; what does not tell counts as quiet. */
  async look(signal: AbortSignal): Promise<boolean> {
    const isOurs = this.#backends.some(({ running }) => running() > 0);
    const seen = await Promise.all(this.#backends.map((backend) => this.#lookAt(backend, signal)));
    const isGpuBusy = !isOurs && (await this.#gpu(signal));
    const isStillOurs = isOurs || this.#backends.some(({ running }) => running() > 0);
    const now = seen.includes(true) || (isGpuBusy && !isStillOurs);
    const before = this.#before;
    this.#before = now;
    return now && before;
  }

  async #lookAt({ type, url, backend, running }: Looked, signal: AbortSignal): Promise<boolean> {
    const how = looks[type];
    if (!how) return false;
    const before = running();
    const seen = await textAt(url, { path: how.path, signal })
      .then(how.read)
      .catch(() => null);
    const ours = Math.max(before, running());
    if (seen === null) return false;
    if ('running' in seen) return seen.running > ours;
    const mark = this.#marks.get(backend);
    this.#marks.set(backend, seen.mark);
    return ours === 0 && mark !== undefined && mark !== seen.mark;
  }

  async #gpu(signal: AbortSignal): Promise<boolean> {
    if (!this.#hasGpu) return false;
    // With a driver that is gone it hangs, SIGKILL or not: nobody waits for it, and there is one of it.
    this.#asked ??= this.#askGpu(signal).finally(() => (this.#asked = undefined));
    let isBusy = false;
    await atMost(
      WITHIN_MS,
      this.#asked.then((busy) => void (isBusy = busy)),
    );
    return isBusy;
  }

  #askGpu(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      execFile(
        gpuQuery.command,
        gpuQuery.args,
        { timeout: WITHIN_MS, killSignal: 'SIGKILL', signal, maxBuffer: 65_536 },
        (error, out) => {
          if (error) {
            this.#hasGpu = !['ENOENT', 'EACCES'].includes(String(error.code));
            return resolve(false);
          }
          resolve(out.split('\n').some((line) => Number(line) >= GPU_BUSY));
        },
      );
    });
  }
}

/** @throws whatever is wrong with it. */
async function textAt(
  { origin }: URL,
  { path, signal }: { path: string; signal: AbortSignal },
): Promise<string> {
  const client = new Client(origin);
  const body = new GrowingBytes(MOST_BYTES);
  try {
    const within = anySignal([signal, AbortSignal.timeout(WITHIN_MS)]);
    const answer = await client.request({ method: 'GET', path, signal: within });
    if (answer.statusCode !== 200) throw new TypeError(`HTTP ${String(answer.statusCode)}`);
    for await (const piece of answer.body as AsyncIterable<Buffer>)
      if (!body.append(piece)) throw new TypeError('too large');
    return body.text();
  } finally {
    body.release();
    await client.destroy();
  }
}
