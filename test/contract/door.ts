import { expect } from 'chai';
import type { Operation } from '../../core/llm.ts';
import { startBackend, type Backend } from '../support/backend.ts';
import { startSystem, until, type Offer, type System, type WorkerProcess } from '../support/system.ts';
import { watchNetwork, type Network } from './network.ts';

/** The one system that the whole suite runs against: edge → Redis → worker → scripted backends. */
export interface Door {
  system: System;
  /** With `/v1`. */
  baseUrl: string;
  /** An edge whose admission window and keep-alive are short: `HURRIED_MS` each. */
  hurriedUrl: string;
  token: string;
  network: Network;
  /** Publishes llms, each with a backend of its own, and forgets them at the end. */
  publish(names: readonly string[], more?: Partial<Offer>): Promise<Record<string, Backend>>;
  /** One llm whose backend speaks these operations, and is known to. */
  publishSpeaking(name: string, operations: readonly Operation[]): Promise<Backend>;
  publishWith(offers: readonly Offer[]): Promise<WorkerProcess>;
  /** What has been published so far serves to the end. */
  keepPublished(): void;
  /** Ends the workers of what was published since: each takes a hundredth of a core, asked or not. */
  endPublished(): Promise<void>;
  close(): Promise<void>;
}

/** Stands for the 10 s and 15 s of a real edge where a test must not wait so long. */
export const HURRIED_MS = 500;

export async function openDoor(): Promise<Door> {
  const network = watchNetwork();
  const system = await startSystem();
  const baseUrl = `${system.url}/v1`;
  const hurried = await system.startEdge(0, {
    MCPCTL_ADMISSION_MS: String(HURRIED_MS),
    MCPCTL_KEEPALIVE_MS: String(HURRIED_MS),
  });
  const backends: Backend[] = [];
  const workers: WorkerProcess[] = [];
  const publishWith = async (offers: readonly Offer[]): Promise<WorkerProcess> => {
    const worker = await system.startWorker(offers);
    workers.push(worker);
    return worker;
  };
  return {
    system,
    baseUrl,
    hurriedUrl: `${hurried.url}/v1`,
    token: system.token,
    network,
    publishWith,
    async publish(names, more = {}) {
      const made = await Promise.all(names.map(async (name) => [name, await startBackend()] as const));
      for (const [, backend] of made) backends.push(backend);
      await publishWith(made.map(([name, backend]) => ({ name, backend, ...more })));
      return Object.fromEntries(made);
    },
    async publishSpeaking(name, operations) {
      const backend = await startBackend();
      backends.push(backend);
      backend.operations = [...operations];
      await publishWith([{ name, backend }]);
      await until(
        () => system.llm(name),
        (llm) => operations.every((operation) => llm.capabilities.operations?.includes(operation)),
      );
      return backend;
    },
    keepPublished: () => void workers.splice(0),
    async endPublished() {
      await Promise.all(workers.splice(0).map((worker) => worker.kill('SIGKILL')));
    },
    async close() {
      await system.close();
      await Promise.all(backends.map((backend) => backend.close()));
      network.stop();
    },
  };
}

export const user = (content: string) => ({ role: 'user' as const, content });

/** What a call throws; fails when it does not. */
export async function thrownBy(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
  } catch (thrown) {
    return thrown;
  }
  return expect.fail('it did not throw');
}
