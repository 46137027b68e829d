import { randomUUID } from 'node:crypto';
import type { ProviderOffer } from '../../core/member/protocol.ts';
import { sqlFaultOf } from '../../core/registry/database/faults.ts';
import { usualLimits, type RegistryLimits } from '../../core/registry/names/limits.ts';
import type { Registration } from '../../core/registry/people/register.ts';
import { createRegistry, type Registry } from '../../core/registry/registry.ts';
import type { User } from '../../core/registry/people/users.ts';
import { sandbox, type Sandbox } from './sandbox.ts';

/** A registry of one's own with two users and an admin, and words to publish with. */
export interface RegistryFixture extends Sandbox {
  registry: Registry;
  ada: User;
  bob: User;
  root: User;
  offer(name: string, more?: Partial<ProviderOffer>): ProviderOffer;
  publication(
    by: User,
    names: readonly (string | ProviderOffer)[],
    more?: Partial<Registration>,
  ): Registration;
}

export async function registryFixture(
  options?: Parameters<typeof sandbox>[0],
  limits?: Partial<RegistryLimits>,
): Promise<RegistryFixture> {
  const t = await sandbox({ again: options?.databaseUrl === undefined, ...options });
  const registry = createRegistry(t.connection, { ...usualLimits, ...limits });
  const offer = (name: string, more: Partial<ProviderOffer> = {}): ProviderOffer => ({
    name,
    type: 'openai',
    model: 'tiny',
    initialStatus: 'active',
    ...more,
  });
  return {
    ...t,
    registry,
    ada: await registry.users.ensure('ada', 'user'),
    bob: await registry.users.ensure('bob', 'user'),
    root: await registry.users.ensure('root', 'admin'),
    offer,
    publication: (by, names, more = {}) => ({
      sessionId: randomUUID(),
      instanceId: randomUUID(),
      workerVersion: null,
      transport: 'redis',
      by: { userId: by.id, tokenId: null, overrules: by.binding === 'admin' },
      providers: names.map((name) => (typeof name === 'string' ? offer(name) : name)),
      isLive: () => true,
      ...more,
    }),
  };
}

/** The code of the McpctlError that `work` rejects with, and what Postgres said if it was a bug. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'ok';
  } catch (thrown) {
    const code = (thrown as { code?: string }).code ?? String(thrown);
    const fault = sqlFaultOf(thrown);
    return fault ? `${code} ${fault.sqlState} ${fault.constraint ?? ''}` : code;
  }
}
