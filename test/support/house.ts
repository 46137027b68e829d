import { expect } from 'chai';
import { Redis } from 'ioredis';
import { createKeys } from '../../core/queue/keys.ts';
import { startBackend, type Backend } from './backend.ts';
import { until, type System, type WorkerProcess } from './system.ts';
import { wireToUrl, type Wire } from './wire.ts';

const redisUrl = process.env['REDIS_URL'] ?? '';

/** A member of the pool `house` with a worker, a backend and a path to Redis, or to the edge, of its own. */
export interface Member {
  name: string;
  backend: Backend;
  /** Between its worker and Redis; and the edge, where that is all it speaks to. */
  wire: Wire;
  worker: WorkerProcess;
}

export interface House {
  members: readonly Member[];
  infer(more?: object, headers?: Record<string, string>): Promise<Response>;
  /** Forgets which backends were asked so far. */
  look(): void;
  /** Whose backend is asked next, or has been asked since the last look. */
  taker(withinMs: number): Promise<Member>;
  sibling(of: Member): Member;
  /** Each task that runs now has been spoken for: one that never was did not arrive, and is nobody's crash. */
  beaten(): Promise<void>;
  /** SIGKILLs its worker. */
  kill(member: Member): Promise<void>;
  /** Starts its worker again, with its session. */
  restart(member: Member): Promise<void>;
  /** Calls it alone until it has answered. */
  serves(member: Member, script: Parameters<Backend['reply']>[0]): Promise<void>;
  close(): Promise<void>;
}

export const posts = (backend: Backend): number => backend.requests.filter((r) => r.method === 'POST').length;

/** Pool `house` with these members, of two slots each. */
export async function startHouse(t: System, names: readonly string[]): Promise<House> {
  const far = t.transport === 'redis' ? redisUrl : t.url;
  const start = ({ name, backend, wire }: Omit<Member, 'worker'>, home?: string): Promise<WorkerProcess> =>
    t.startWorker([{ name, poolName: 'house', maxConcurrency: 2, backend }], {
      ...(t.transport === 'redis' ? { env: { REDIS_URL: wire.url(far) } } : { url: wire.url(far) }),
      ...(home === undefined ? {} : { home }),
    });
  const members: Member[] = [];
  for (const name of names) {
    const [backend, wire] = await Promise.all([startBackend(), wireToUrl(far)]);
    members.push({ name, backend, wire, worker: await start({ name, backend, wire }) });
  }
  const seen = new Map<Member, number>();
  const look = (): void => members.forEach((member) => seen.set(member, posts(member.backend)));
  const infer: House['infer'] = (more = {}, headers = {}) =>
    t.call('POST', '/api/v1/llms/house/infer', {
      body: { messages: [{ role: 'user', content: 'hi' }], ...more },
      headers,
    });
  const redis = new Redis(redisUrl);
  const beats = async (): Promise<number[]> => {
    const { run } = createKeys(t.sandbox.namespace).pool('house');
    return (await redis.zrange(run, '0', '-1', 'WITHSCORES')).filter((_, n) => n % 2 === 1).map(Number);
  };
  return {
    members,
    infer,
    look,
    async taker(withinMs) {
      const taken = await until(
        async () => members.find((member) => posts(member.backend) > (seen.get(member) ?? 0)),
        (member) => member !== undefined,
        withinMs,
      );
      look();
      return taken ?? expect.fail('nobody took it');
    },
    sibling: (of) => members.find((member) => member !== of) ?? expect.fail('it has no sibling'),
    async beaten() {
      const first = await beats();
      await until(
        async () => Math.min(...(await beats())),
        (oldest) => oldest > Math.max(...first) + 1_000,
      );
    },
    async kill(member) {
      await member.worker.kill('SIGKILL');
    },
    async restart(member) {
      member.worker = await start(member, member.worker.home);
    },
    async serves(member, script) {
      member.backend.reply(script);
      await until(
        () => infer({}, { 'x-mcpctl-pin': member.name }),
        (answer) => answer.status === 200,
        20_000,
      );
    },
    async close() {
      redis.disconnect();
      for (const { backend, wire } of members) await Promise.all([backend.close(), wire.close()]);
    },
  };
}
