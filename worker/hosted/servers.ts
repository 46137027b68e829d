import { createHash } from 'node:crypto';
import { MCP_TYPE, poolOfServer } from '../../core/mcp/names.ts';
import { messageOf } from '../../core/errors.ts';
import { Slots } from '../../core/member/slots.ts';
import { MOST_REPORT_BYTES, type HostedServers, type Lack } from '../../core/queue/live/hosted-servers.ts';
import type { ResourceNews } from '../../core/queue/live/mcp/subscriptions.ts';
import type { OrderAnswers } from '../../core/queue/live/mcp/server-orders.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Journal } from '../mcp/journal.ts';
import { McpProvider } from '../mcp/provider.ts';
import { Supervised } from '../mcp/supervised.ts';
import type { Introduced } from '../mcp/told/introduced.ts';
import { asMember } from '../providers/adapt.ts';
import type { HostedServer } from '../sources/registry.ts';
import type { Ordered, ServedMember } from '../transports/transport.ts';
import { Gate } from '../work/gate.ts';
import { roomFor } from './room.ts';
import { launchServer, type LaunchServerDeps } from './launch-server.ts';

export interface ServersHereDeps extends LaunchServerDeps {
  /** Of this process. */
  session: string;
  /** What hosted workers tell each other of them. */
  hosted: HostedServers;
  /** Of which resources clients hear, and which are others now. */
  news: Pick<ResourceNews, 'tell'>;
  /** What comes of orders is said so. */
  answers: Pick<OrderAnswers, 'say'>;
  /** Made with the first server: most hosted workers have none. */
  journal: () => Journal;
  bus: Bus;
  clock: Clock;
  log: Log;
}

/** Whoever has died lets go of its servers so late; each is asked for once a second. */
const HELD_MS = 10_000;
/** What has not changed is said again, in a Redis that may have lost it. */
const SAID_AGAIN_MS = 30_000;
/** So often it is said that a server is not run, and why. */
const LACK_SAID_MS = 5_000;
/** Another worker may have room: so long it has the time to take what would put something out here. */
const PATIENCE_MS = 3_000;

interface Running {
  row: HostedServer;
  supervised: Supervised;
  served: ServedMember;
  reported: { what: Introduced; mark: string; at: number } | null;
}

/**
 * The MCP servers of the registry, as far as this worker runs them: each is run by one hosted worker, whoever takes it
 * first, so that what a server keeps is in one place. One that changes is begun anew when its callers have their answers.
 */
export class ServersHere {
  readonly #deps: ServersHereDeps;
  #running = new Map<string, Running>();
  /** Why none could be begun the last time. */
  #trouble: string | null = null;
  /** Of what is not run here for a lack: since when, and when that was said last. */
  readonly #lacking = new Map<string, { since: number; saidAt: number }>();
  /** Those that gave way, until they have ended: they are let go of then. */
  readonly #leaving = new Map<string, HostedServer>();
  /** Those that end: no other process of one is begun meanwhile. */
  readonly #ending = new Map<string, Promise<void>>();

  constructor(deps: ServersHereDeps) {
    this.#deps = deps;
  }

  /** To be called once a second. @returns all that are run now; undefined when those are the same as the last time. */
  async update(
    rows: readonly HostedServer[],
  ): Promise<{ all: ServedMember[]; kept: ServedMember[] } | undefined> {
    const before = this.#running;
    const now = new Map<string, Running>();
    for (const row of rows) {
      const there = before.get(row.id);
      if (!there || !(await this.#isOurs(row, { isThere: true }))) continue;
      const running = isSame(there.row, row) ? this.#renewed(there, row) : await this.#begin(row);
      if (running) now.set(row.id, running);
    }
    for (const row of rows) if (!before.has(row.id)) await this.#take(row, now);
    for (const id of this.#lacking.keys())
      if (now.has(id) || rows.every((row) => row.id !== id)) this.#lacking.delete(id);
    await this.#holdLeaving();
    this.#running = now;
    for (const [id, running] of before) if (now.get(id) !== running) this.#close(id, running);
    await Promise.all([...now.values()].map((running) => this.#tell(running)));
    const kept = [...now].filter(([id, running]) => before.get(id) === running);
    if (kept.length === now.size && kept.length === before.size) return undefined;
    return {
      all: [...now.values()].map(({ served }) => served),
      kept: kept.map(([, { served }]) => served),
    };
  }

  pools(): string[] {
    return [...this.#running.values()].map(({ row }) => row.poolKey);
  }

  /** Does something about the process of one that is run here, and says what came of it. Never throws. */
  async ordered({ orderId, llmName, order, after }: Parameters<Ordered>[0]): Promise<void> {
    const { answers, log } = this.#deps;
    const running = [...this.#running.values()].find(({ row }) => poolOfServer(row.name) === llmName);
    if (!running) return;
    const { name: server } = running.row;
    try {
      await answers.say({ server, orderId }, await running.supervised.ordered(order, after));
    } catch (thrown) {
      log.warn({ server, order, why: messageOf(thrown) }, 'what came of an order could not be said');
    }
  }

  /** Ends all of them, and lets other hosted workers have them. */
  async stop(): Promise<void> {
    const { hosted, session } = this.#deps;
    await Promise.all(
      [...this.#running.values()].map(async ({ row, supervised, served }) => {
        served.gate.end();
        await supervised.stop();
        await hosted.release(row.poolKey, session).catch(() => undefined); // it lapses
      }),
    );
    await Promise.all(this.#ending.values());
    this.#running.clear();
  }

  /** Begins one where there is room, or one of somebody who has more gives way to it. */
  async #take(row: HostedServer, now: Map<string, Running>): Promise<void> {
    const at = this.#deps.clock.elapsed();
    const lacking = this.#lacking.get(row.id);
    const room = roomFor(row, {
      here: [...now.values()].map((one) => one.row),
      isPatient: lacking !== undefined && at - lacking.since >= PATIENCE_MS,
    });
    if (room === 'full' || room === 'owner_full') return await this.#lack(row, room);
    if (!(await this.#isOurs(row, { isThere: false }))) return void this.#lacking.delete(row.id);
    this.#leaving.delete(row.id);
    const running = await this.#begin(row);
    if (!running) return await this.#lack(row, 'no_home');
    if (typeof room === 'object') this.#giveWay(room.insteadOf, now);
    now.set(row.id, running);
  }

  #giveWay(id: string, now: Map<string, Running>): void {
    const former = now.get(id);
    if (!former) return;
    this.#deps.log.info(
      { server: former.row.name },
      'an MCP server is not run here any more: another user has fewer of them than its owner',
    );
    now.delete(id);
    this.#leaving.set(id, former.row);
  }

  /** While what runs of them ends, no other worker begins another. */
  async #holdLeaving(): Promise<void> {
    for (const row of this.#leaving.values()) await this.#isOurs(row, { isThere: true });
  }

  async #lack({ id, name, poolKey }: HostedServer, lack: Lack): Promise<void> {
    const { hosted, clock, log } = this.#deps;
    const at = clock.elapsed();
    const { since, saidAt } = this.#lacking.get(id) ?? { since: at, saidAt: -Infinity };
    const isDue = at - saidAt >= LACK_SAID_MS;
    this.#lacking.set(id, { since, saidAt: isDue ? at : saidAt });
    if (!isDue) return;
    try {
      await hosted.lack(poolKey, lack);
    } catch (thrown) {
      log.debug({ server: name, why: messageOf(thrown) }, 'that an MCP server is not run could not be told');
    }
  }

  /** While Redis cannot be asked, what runs goes on: nobody else can take it there either. */
  async #isOurs({ name, poolKey }: HostedServer, { isThere }: { isThere: boolean }): Promise<boolean> {
    const { hosted, session, log } = this.#deps;
    try {
      return await hosted.hold(poolKey, session, HELD_MS);
    } catch (thrown) {
      log.debug({ server: name, why: messageOf(thrown) }, 'whose an MCP server is cannot be asked');
      return isThere;
    }
  }

  /** Its secrets are others now, perhaps. */
  #renewed(running: Running, row: HostedServer): Running {
    const isOther = running.row.secretMark !== row.secretMark;
    running.row = row;
    if (isOther) running.supervised.renew();
    return running;
  }

  /** Undefined where this machine cannot keep what it must: then another hosted worker may. */
  async #begin(row: HostedServer): Promise<Running | undefined> {
    try {
      const running = this.#open(row);
      this.#trouble = null;
      return running;
    } catch (thrown) {
      const { hosted, session, log } = this.#deps;
      const why = messageOf(thrown);
      if (why !== this.#trouble)
        log.error(
          { server: row.name, why },
          'MCP servers cannot be run here; see to the folder mcp of $MCPCTL_HOME',
        );
      this.#trouble = why;
      await hosted.release(row.poolKey, session).catch(() => undefined); // it lapses
      return undefined;
    }
  }

  #open(row: HostedServer): Running {
    const { bus, clock, log } = this.#deps;
    const name = poolOfServer(row.name);
    const launch = launchServer(row, this.#deps);
    const supervised: Supervised = new Supervised({
      name: row.name,
      limits: row.limits,
      healthCheck: row.healthCheck ?? undefined,
      launch: async (listeners, over) => {
        await this.#ending.get(row.id);
        return await launch(listeners, over);
      },
      onTools: () => undefined, // the next round tells
      tellResources: (updated) => this.#tellResources(row.name, updated),
      onState: () => {
        if (supervised.reason === null) gate.relisted();
        else gate.unlisted(supervised.reason);
      },
      clock,
      log,
    });
    const provider = new McpProvider({ name, supervised, journal: this.#deps.journal(), clock });
    const isAvailable = (): Promise<boolean> => provider.isAvailable();
    const gate = new Gate({ bus, clock, llm: name, isAvailable });
    const member = {
      ...{ llmId: row.id, name, poolKey: row.poolKey, model: MCP_TYPE, isAvailable },
      stallMs: row.limits.callSeconds * 1_000,
      forward: asMember(provider),
    };
    supervised.begin();
    return { row, supervised, served: { member, slots: new Slots(row.limits.slots), gate }, reported: null };
  }

  async #tellResources(server: string, updated: readonly string[]): Promise<readonly string[] | null> {
    const { news, log } = this.#deps;
    try {
      return await news.tell(server, updated);
    } catch (thrown) {
      log.debug({ server, why: messageOf(thrown) }, 'of which resources somebody hears could not be asked');
      return null;
    }
  }

  /** What runs goes on to its end. */
  #close(id: string, { supervised, served, row }: Running): void {
    served.gate.end();
    const ending = (async () => {
      await this.#ending.get(id);
      await supervised.leave(row.limits.callSeconds * 1_000);
      if (!this.#leaving.delete(id)) return;
      const { hosted, session } = this.#deps;
      await hosted.release(row.poolKey, session).catch(() => undefined); // it lapses
    })().finally(() => {
      if (this.#ending.get(id) === ending) this.#ending.delete(id);
    });
    this.#ending.set(id, ending);
  }

  async #tell(running: Running): Promise<void> {
    const { supervised, row, reported } = running;
    const { introduced } = supervised;
    const { hosted, clock, log, journal } = this.#deps;
    const at = clock.elapsed();
    const isDue = reported === null || at - reported.at >= SAID_AGAIN_MS;
    // It is another object once it was listed again: up to 4 MiB are not put together each second to see that.
    if (!introduced || (introduced === reported?.what && !isDue)) return;
    const { info, tools, tooLarge, offers } = introduced;
    const report = JSON.stringify({ journal: journal().id, info, tools, tooLarge, ...offers });
    const mark = createHash('sha256').update(report).digest('hex');
    const isNew = mark !== reported?.mark;
    if (!isNew && !isDue) {
      running.reported = { ...reported, what: introduced };
      return;
    }
    if (Buffer.byteLength(report) > MOST_REPORT_BYTES) {
      if (isNew) log.warn({ server: row.name }, 'an MCP server has more than can be kept of one');
      running.reported = { what: introduced, mark, at };
      return;
    }
    try {
      await hosted.tell(row.poolKey, { mark, report });
      running.reported = { what: introduced, mark, at };
    } catch (thrown) {
      log.debug({ server: row.name, why: messageOf(thrown) }, 'what an MCP server has could not be told yet');
    }
  }
}

/** Everything that it is begun with, and how many it serves; the rest of a row may change under it. */
function isSame(a: HostedServer, b: HostedServer): boolean {
  const facts = ({ name, poolKey, runs, env, limits, healthCheck }: HostedServer): string =>
    JSON.stringify([name, poolKey, runs, env, limits, healthCheck]);
  return facts(a) === facts(b);
}
