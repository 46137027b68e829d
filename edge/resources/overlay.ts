import type { Actor } from '../../core/access.ts';
import type { QueueDoor } from '../../core/queue/door.ts';
import type { Liveness } from '../../core/flow/alive/liveness.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { ResourceRow } from '../../core/registry/resources/rows.ts';

/** What an overlay may ask. */
export interface OverlayDeps {
  registry: Pick<Registry, 'llms' | 'groups' | 'agents' | 'secrets' | 'threads' | 'templates' | 'mcp'>;
  liveness: Pick<Liveness, 'loadPools' | 'sessions'>;
  queue: Pick<QueueDoor, 'hostedServers' | 'linkedTexts'>;
}

/**
 * What is laid over rows when they are shown: what only Redis, or another table, knows. One answer for each, in their order.
 * It is the fourth of the hooks of a resource; core/registry/resources/hooks.ts has the others.
 */
export type Overlay = (
  rows: readonly ResourceRow[],
  deps: OverlayDeps,
  /** Who is shown them. */
  actor: Actor,
) => Promise<readonly Readonly<Record<string, unknown>>[]>;
