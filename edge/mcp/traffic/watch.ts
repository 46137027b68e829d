import { randomUUID } from 'node:crypto';
import type { Response } from 'express';
import { z } from 'zod';
import { can, type Actor } from '../../../core/access.ts';
import { McpctlError } from '../../../core/errors.ts';
import { exchangeSchema, isWanted, type TrafficQuery } from '../../../core/mcp/traffic/exchange.ts';
import type { CapturedPage, Watcher } from '../../../core/queue/live/traffic.ts';
import type { McpProject } from '../../../core/registry/mcp/servers.ts';
import { pause } from '../../../core/runtime/clock.ts';
import { jsonValue } from '../../../core/text/json-text.ts';
import type { EdgeDeps } from '../../deps.ts';
import { actorOf } from '../../http/context.ts';
import { deliveryOf } from '../../http/delivered.ts';
import { untilOver } from '../../http/gone.ts';
import { EventWriter } from '../../http/sse.ts';
import { bodiesOf } from './bodies.ts';

/** Between two looks at what was captured, where the last one found all there was. */
const EVERY_MS = 250;
/** It is good for three times as long. */
const RENEW_MS = 3_000;

export interface Watching {
  res: Response;
  project: McpProject;
  wanted: TrafficQuery;
}

const capturedSchema = z.object({ userId: z.string(), exchange: exchangeSchema });

/** Who may change a project may see all that is asked of it; who may see it what is their own. */
const seesAll = (actor: Actor, project: McpProject): boolean =>
  can(actor, 'edit', { resource: 'project', target: project });

/**
 * Shows what clients ask of a project, at whatever edge, until who watches leaves, their token ends, or they may not see the project any more.
 * It reads as fast as they do, and holds up nobody: what they were too slow for is counted.
 * @throws McpctlError `too_many_requests`, `unavailable`.
 */
export async function watchTraffic(deps: EdgeDeps, watching: Watching): Promise<void> {
  const { res, project, wanted } = watching;
  const actor = actorOf(res.req);
  const all = seesAll(actor, project);
  if (all) await tellOf(deps, actor, watching);
  const watcher: Watcher = {
    ...{ id: randomUUID(), projectId: project.id, userId: actor.userId },
    shown: {
      user: (actor.by ?? actor).userName,
      since: new Date(deps.clock.now()).toISOString(),
      ...{ bodies: wanted.bodies === true, all },
    },
  };
  await deps.queue.traffic.watch(watcher);
  const watch = new TrafficWatch(deps, { ...watching, watcher, actor });
  try {
    await watch.run();
  } finally {
    watch.close();
  }
}

/** What others do may be seen, and that it was is on record before. */
async function tellOf(deps: EdgeDeps, actor: Actor, { project, wanted }: Watching): Promise<void> {
  const { id, name, ownerId } = project;
  const to = wanted.bodies === true ? 'with bodies' : 'without bodies';
  await deps.bodyReads.tell(actor, {
    ...{ resource: 'project', id, name, ownerId },
    changes: [{ field: 'traffic', to }],
  });
}

class TrafficWatch {
  readonly #deps: EdgeDeps;
  readonly #watching: Watching;
  readonly #watcher: Watcher;
  readonly #over = new AbortController();
  readonly #writer: EventWriter;
  readonly #timers: NodeJS.Timeout[];
  readonly #release: () => void;
  /** As they are granted now. */
  #actor: Actor;
  #project: McpProject;
  /** Why it ends, where that is to be told. */
  #why: McpctlError | null = null;
  #isAway = false;
  #isQuiet = false;
  /** The place that they have come to, and the one that they were told last. */
  #at: string | null;
  #toldAt: string | null = null;

  constructor(
    deps: EdgeDeps,
    { watcher, actor, ...watching }: Watching & { watcher: Watcher; actor: Actor },
  ) {
    this.#deps = deps;
    this.#watching = watching;
    this.#watcher = watcher;
    this.#actor = actor;
    this.#project = watching.project;
    this.#at = watching.wanted.after ?? null;
    const { res } = watching;
    this.#writer = new EventWriter(res, deliveryOf(deps));
    this.#release = untilOver(deps, {
      res,
      whyNot: (now) => this.#whyNot(now),
      end: (why) => this.#end(why instanceof McpctlError ? why : null),
    });
    this.#timers = [
      setInterval(() => void this.#renew(), RENEW_MS),
      setInterval(() => (this.#isQuiet = true), deps.config.keepAliveMs),
    ];
  }

  async run(): Promise<void> {
    const { signal } = this.#over;
    const { project, shown } = { project: this.#project.name, shown: this.#watcher.shown };
    this.#at ??= (await this.#deps.queue.traffic.read(this.#project.id, null)).last;
    const { all, bodies } = shown;
    const hello = JSON.stringify({ project, sees: all ? 'all' : 'own', bodies });
    // With a place, so that who loses their edge before anything was asked goes on from here, too.
    await this.#writer.write({ event: 'hello', data: hello }, this.#at);
    this.#toldAt = this.#at;
    while (!signal.aborted) {
      const page = await this.#read(this.#at);
      if (page) await this.#show(page);
      if (!signal.aborted && (page?.entries.length ?? 0) === 0) await pause(EVERY_MS, signal);
      if (this.#isQuiet) await this.#alive();
    }
    if (this.#why) await this.#event('signed-out', { error: this.#why.message, code: this.#why.code });
    this.#writer.end();
  }

  close(): void {
    this.#timers.forEach(clearInterval);
    this.#release();
    // It is over in some seconds, where Redis hears nothing of it.
    this.#deps.queue.traffic.leave(this.#watcher).catch(() => undefined);
  }

  #whyNot(now: Actor): McpctlError | undefined {
    if (!can(now, 'view', { resource: 'project', target: this.#project }))
      return new McpctlError('project_not_found');
    this.#actor = now;
    return undefined;
  }

  /** @param why null: nobody is to be told. */
  #end(why: McpctlError | null): void {
    this.#why ??= why;
    this.#over.abort();
  }

  /** Says that they watch still, and looks whether the project is there, and whose it is. */
  async #renew(): Promise<void> {
    try {
      await this.#deps.queue.traffic.watch(this.#watcher);
      const project = await this.#deps.registry.mcp.project(this.#project.name);
      if (project?.id !== this.#project.id) return this.#end(new McpctlError('project_not_found'));
      this.#project = project;
      const why = this.#whyNot(this.#actor);
      if (why) this.#end(why);
    } catch (thrown) {
      if (thrown instanceof McpctlError && thrown.code === 'too_many_requests') this.#end(thrown);
      // While a store is away it is said again; what may be missing meanwhile is told.
    }
  }

  /** @returns null where Redis is away, which is told once. */
  async #read(after: string): Promise<CapturedPage | null> {
    try {
      const page = await this.#deps.queue.traffic.read(this.#project.id, after);
      if (this.#isAway) await this.#event('missed', { count: null });
      this.#isAway = false;
      return page;
    } catch (thrown) {
      if (!(thrown instanceof McpctlError)) throw thrown;
      if (!this.#isAway) await this.#event('away', { error: thrown.message, code: thrown.code });
      this.#isAway = true;
      return null;
    }
  }

  async #show({ entries, last, missed }: CapturedPage): Promise<void> {
    // How many others' there were is not for who sees their own.
    const count = this.#seesAll() ? missed : null;
    if (missed !== 0) await this.#event('missed', { count });
    for (const { id, text } of entries) {
      if (this.#over.signal.aborted) return;
      const captured = capturedSchema.safeParse(jsonValue(text)).data;
      if (captured) await this.#showOne(id, captured);
    }
    this.#at = last;
  }

  /** Who may more by now begins anew, so that it is on record before they see what is others'. */
  #seesAll(): boolean {
    return this.#watcher.shown.all && seesAll(this.#actor, this.#project);
  }

  async #showOne(id: string, { userId, exchange }: z.infer<typeof capturedSchema>): Promise<void> {
    const isTheirs = userId === this.#actor.userId;
    if (!isTheirs && !this.#seesAll()) return;
    if (!isWanted(exchange, this.#watching.wanted)) return;
    const { taskId } = exchange;
    const more =
      this.#watching.wanted.bodies === true && taskId !== null
        ? await bodiesOf(this.#deps, {
            ...{ actor: this.#actor, project: this.#project, taskId, ownerId: userId },
          })
        : {};
    const data = JSON.stringify({ ...exchange, ...more });
    await this.#writer.write({ event: 'exchange', data }, id);
    [this.#at, this.#toldAt] = [id, id];
  }

  /** A sign of life; where they have come to something new that was not for them, so that they go on from there. */
  async #alive(): Promise<void> {
    this.#isQuiet = false;
    if (this.#at === this.#toldAt || this.#at === null) return await this.#writer.comment('watching');
    this.#toldAt = this.#at;
    await this.#writer.write({ event: 'at', data: '{}' }, this.#at);
  }

  #event(name: string, data: object): Promise<void> {
    return this.#writer.event(name, JSON.stringify(data));
  }
}
