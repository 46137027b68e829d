import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { readPlainFile } from '../../core/runtime/files/plain-file.ts';
import { writePrivately } from '../../core/runtime/files/private-file.mjs';
import { catalogueEntry, type CatalogueEntry } from '../../core/resources/catalogue.ts';
import { llm } from '../../core/resources/llm.ts';
import type { Client } from '../net/client.ts';
import type { Context } from '../who/context.ts';
import { readContexts } from '../who/contexts-file.ts';
import { authenticated, type GlobalOptions, type Target } from '../who/target.ts';
import { calledOf } from '../keyed.ts';
import { hasEnded } from '../tasks.ts';
import { cell } from '../say/text.ts';
import { wordings } from '../resources/wordings.ts';
import type { AgentHas, Live } from './sources.ts';

/** What may be put in, and a few words about it. */
export interface Candidate {
  value: string;
  about: string;
}

/** A person waits for each of these: who does not answer in this time is not asked. */
const LIMIT_MS = 1000;
/** The next press of the key shows the same names without asking. */
const KEPT_MS = 5000;
/** Of tasks and threads, the newest. */
const MOST = 100;

const keptSchema = z.object({
  at: z.number(),
  names: z.array(z.object({ value: z.string(), about: z.string() })),
});

/** What one agent has. */
interface OfAgent {
  has: AgentHas;
  agent: string;
}

/** Names of that kind, of the server that the flags of the line mean. @throws what asking does. */
export async function liveNames(
  ctx: Context,
  live: Live | CatalogueEntry | OfAgent,
  flags: GlobalOptions,
): Promise<Candidate[]> {
  if (live === 'context') {
    const { contexts } = await readContexts(await ctx.home());
    return Object.entries(contexts).map(([value, { server }]) => ({ value, about: server }));
  }
  const target = authenticated(await ctx.target(flags));
  const path = await pathOf(ctx, target, calledIn(live));
  const kept = readKept(path, ctx);
  if (kept) return kept;
  const client = await ctx.clientFor(target, AbortSignal.timeout(LIMIT_MS));
  const names = await askerOf(live)(client);
  keep(path, { at: ctx.clock.now(), names });
  return names;
}

type Asker = (client: Client) => Promise<Candidate[]>;

function askerOf(live: Exclude<Live, 'context'> | CatalogueEntry | OfAgent): Asker {
  if (typeof live === 'string') return askers[live];
  return 'has' in live ? ofAgent(live) : ofResource(live);
}

/** What the file is called by in which they are kept. */
function calledIn(live: Live | CatalogueEntry | OfAgent): string {
  if (typeof live === 'string') return live;
  return 'has' in live ? `${live.has} of ${live.agent}` : live.word;
}

const pools: Asker = async (client) =>
  (await client.pools.list()).map(({ key, view }) => ({
    value: key,
    about: `pool, ${cell(view.activeCount)} of ${cell(view.size)} active`,
  }));
const tasks =
  (wanted: (status: unknown) => boolean): Asker =>
  async (client) => {
    const { items } = await client.tasks.list({}, MOST);
    return items
      .filter(({ view }) => wanted(view.status))
      .map(({ key, view }) => ({ value: key, about: `${cell(view.status)}, ${cell(view.llmName)}` }));
  };

/** By its name where that is the only one, else by its key. */
const ofResource =
  (entry: CatalogueEntry): Asker =>
  async (client) => {
    const items = await client.resources.list(entry, {});
    const named = items.map(calledOf);
    const about = wordings[entry.word]?.about;
    return items.map((item, at) => {
      const { key } = item;
      const name = named[at] ?? key;
      const isOnly = named.filter((other) => other === name).length === 1;
      return isOnly ? { value: name, about: about?.(item) ?? entry.word } : { value: key, about: cell(name) };
    });
  };
const llms = ofResource(catalogueEntry(llm));

const ofAgent =
  ({ has, agent }: OfAgent): Asker =>
  async ({ turns }) =>
    has === 'thread'
      ? (await turns.threads(agent, MOST)).map(({ id, title }) => ({ value: id, about: cell(title) }))
      : (await turns.personalities(agent)).map(({ name, description, isDefault }) => ({
          value: name,
          about: isDefault ? `default, ${cell(description)}` : cell(description),
        }));

const askers: Record<Exclude<Live, 'context'>, Asker> = {
  pool: pools,
  callable: async (client) => {
    const [own, shared] = await Promise.all([llms(client), pools(client)]);
    const names = new Set(own.map(({ value }) => value));
    return [...own, ...shared.filter(({ value }) => !names.has(value))];
  },
  task: tasks(() => true),
  'unfinished task': tasks((status) => !hasEnded(status)),
  'ended task': tasks(hasEnded),
  token: async (client) =>
    (await client.tokens.list())
      .filter(({ view }) => !view.revokedAt)
      .map(({ key, view }) => ({ value: view.name ?? key, about: `of ${cell(view.user)}` })),
};

/** Each server and each token has its own: other tokens may see other names. */
async function pathOf(ctx: Context, { server, token }: Target, live: string): Promise<string> {
  const mark = createHash('sha256')
    .update(JSON.stringify([server, token, live]))
    .digest('hex')
    .slice(0, 16);
  return join((await ctx.home()).cache, `names-${mark}.json`);
}

function readKept(path: string, { clock }: Context): Candidate[] | null {
  try {
    const { at, names } = keptSchema.parse(JSON.parse(readPlainFile(path)));
    const age = clock.now() - at;
    return age >= 0 && age < KEPT_MS ? names : null;
  } catch {
    return null; // not there yet, or not ours: the server knows
  }
}

/** Readable by its owner only, as a whole or not at all. */
function keep(path: string, kept: z.infer<typeof keptSchema>): void {
  try {
    writePrivately(path, JSON.stringify(kept));
  } catch {
    return; // a home that cannot be written to: the server is asked each time
  }
}
