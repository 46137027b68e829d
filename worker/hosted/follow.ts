import { messageOf } from '../../core/errors.ts';
import { pause, type Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { HostedServer, PublicLlm, RegistrySource } from '../sources/registry.ts';
import type { ServedMember, Transport } from '../transports/transport.ts';
import type { HostedMembers } from './members.ts';
import type { ServersHere } from './servers.ts';

export interface FollowDeps {
  source: RegistrySource;
  members: HostedMembers;
  servers: Pick<ServersHere, 'update'>;
  transport: Pick<Transport, 'serve'>;
  /** Called when the rows were read for the first time. */
  ready: () => void;
  stopping: AbortSignal;
  clock: Clock;
  log: Log;
}

/** A change is followed within this, and what Postgres or a file's disk take. */
const EVERY_MS = 1_000;

/**
 * Keeps the transport serving what the registry says, until `stopping` aborts. Postgres away is no reason to stop:
 * what is known goes on being served.
 */
export async function followRegistry(deps: FollowDeps): Promise<void> {
  const { source, stopping, clock, log } = deps;
  let wanted: Wanted | undefined;
  const serving: Serving = { llms: [], servers: [] };
  let away = false;
  while (!stopping.aborted) {
    try {
      const changed = await source.changed();
      if (changed) {
        if (changed.more)
          log.warn({ served: changed.llms.length }, 'there are more public llms than are served');
        if (!wanted) deps.ready();
        wanted = changed;
      }
      if (away) log.info('the registry can be read again');
      away = false;
    } catch (thrown) {
      const why = messageOf(thrown);
      if (!away) log.warn({ why }, 'the registry cannot be read; what is known goes on being served');
      away = true;
    }
    if (wanted) await serve(deps, wanted, serving);
    await pause(EVERY_MS * (0.75 + clock.random() / 2), stopping);
  }
}

interface Wanted {
  llms: readonly PublicLlm[];
  servers: readonly HostedServer[];
}
/** What is served of each, as it was found last. */
interface Serving {
  llms: readonly ServedMember[];
  servers: readonly ServedMember[];
}

async function serve(
  { members, servers, transport, log }: FollowDeps,
  wanted: Wanted,
  serving: Serving,
): Promise<void> {
  try {
    const ofLlms = await members.update(wanted.llms);
    const ofServers = await servers.update(wanted.servers);
    if (!ofLlms && !ofServers) return;
    const kept = [...(ofLlms?.kept ?? serving.llms), ...(ofServers?.kept ?? serving.servers)];
    serving.llms = ofLlms?.all ?? serving.llms;
    serving.servers = ofServers?.all ?? serving.servers;
    const update = { kept, all: [...serving.llms, ...serving.servers] };
    // One that has changed leaves first, and comes anew: what runs on the former goes on to its end.
    if (update.kept.length < update.all.length) await transport.serve(update.kept);
    await transport.serve(update.all);
    const names = update.all.map(({ member }) => member.name);
    log.info({ llms: names.slice(0, MOST_NAMES), count: names.length }, 'the hosted worker serves');
  } catch (thrown) {
    log.error({ why: messageOf(thrown) }, 'what is served could not be changed');
  }
}

const MOST_NAMES = 100;
