import { get } from 'node:http';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { createSockets } from './sockets.ts';

export interface Target {
  url: string;
}

/**
 * A load balancer before several edges, as people put one there: it balances connections, by turns, knows nothing
 * of sessions, and sends no new connection to an edge that is dead, or that says it is not ready.
 *
 *   const balancer = await startBalancer([t.edge, await t.startEdge()]);
 *   await t.startWorker(offers, { transport: 'sse', url: balancer.url });
 *   await balancer.holder('_provider-stream')?.kill('SIGKILL');
 */
export interface Balancer<T extends Target> {
  url: string;
  targets: readonly T[];
  add(target: T): void;
  remove(target: T): void;
  /** New connections go there alone; to all by turns again without an argument. */
  only(target?: T): void;
  /** The edge at the end of an open connection over which a path with this in it was asked for last. */
  holder(path: string): T | undefined;
  /** How often the last open connection of that kind was closed: from then on nobody held one. */
  gaps(path: string): number;
  /** How many requests for a path with this in it that edge has had. */
  asked(target: T, path: string): number;
  close(): Promise<void>;
}

interface Link<T> {
  near: Socket;
  far: Socket;
  target: T;
  path: string;
}

const HEALTH_EVERY_MS = 100;
const CONNECT_MS = 1_000;

export async function startBalancer<T extends Target>(first: readonly T[]): Promise<Balancer<T>> {
  const targets = [...first];
  const unready = new Set<T>();
  const links = new Set<Link<T>>();
  const sockets = createSockets();
  const requests = new Map<T, string[]>();
  const lastOnes: string[] = [];
  let chosen: T | undefined;
  let turn = 0;

  /** All, whoever's turn it is first; those that are not ready last: better than nobody. */
  const inTurn = (): T[] => {
    if (chosen) return [chosen];
    turn += 1;
    const turned = targets.map((_, n) => targets[(n + turn) % targets.length]).filter((t) => t !== undefined);
    return [...turned.filter((t) => !unready.has(t)), ...turned.filter((t) => unready.has(t))];
  };
  const carry = (link: Link<T>): void => {
    const { near, far, target } = link;
    links.add(link);
    near.on('data', (bytes: Buffer) => {
      const path = /^[A-Z]+ (\S+) HTTP\/1/.exec(bytes.subarray(0, 2_000).toString('latin1'))?.[1];
      if (path === undefined) return;
      link.path = path;
      requests.set(target, [...(requests.get(target) ?? []), path]);
    });
    for (const side of [near, far]) {
      side.setNoDelay(true);
      side.once('close', () => {
        if (!links.delete(link)) return;
        if (![...links].some((each) => each.path === link.path)) lastOnes.push(link.path);
      });
    }
    sockets.join(near, far);
  };
  const dial = (near: Socket, rest: readonly T[]): void => {
    const [target, ...others] = rest;
    if (!target || near.destroyed) return void near.resetAndDestroy();
    const { hostname, port } = new URL(target.url);
    const far = connect(Number(port), hostname);
    sockets.keep(far);
    far.setTimeout(CONNECT_MS, () => far.destroy());
    const next = (): void => {
      unready.add(target);
      dial(near, others);
    };
    far.once('close', next);
    far.once('connect', () => {
      far.off('close', next).setTimeout(0);
      carry({ near, far, target, path: '' });
    });
  };
  const server = createServer((near) => {
    sockets.keep(near);
    dial(near, inTurn());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const watch = setInterval(() => {
    for (const target of targets)
      void isReady(target).then((ready) => (ready ? unready.delete(target) : unready.add(target)));
  }, HEALTH_EVERY_MS);

  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    targets,
    add: (target) => void targets.push(target),
    remove: (target) => void targets.splice(targets.indexOf(target), 1),
    only: (target) => void (chosen = target),
    holder: (path) => [...links].find((link) => link.path.includes(path))?.target,
    gaps: (path) => lastOnes.filter((last) => last.includes(path)).length,
    asked: (target, path) => (requests.get(target) ?? []).filter((asked) => asked.includes(path)).length,
    close() {
      clearInterval(watch);
      return sockets.closeWith(server);
    },
  };
}

function isReady(target: Target): Promise<boolean> {
  return new Promise((resolve) => {
    const asking = get(`${target.url}/readyz`, { agent: false, timeout: CONNECT_MS }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    asking.once('timeout', () => asking.destroy());
    asking.once('error', () => resolve(false));
  });
}
