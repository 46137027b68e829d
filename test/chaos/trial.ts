import { join } from 'node:path';
import { pause } from '../../core/runtime/clock.ts';
import type { Order, Placed } from './caller.ts';
import { grouped, type Finding } from './checker/calls.ts';
import { check, tally, type Tally } from './checker/check.ts';
import { keep, logsIn, openJournal } from './journal.ts';
import type { ToolCall } from './lines.ts';
import { startLoad, type Load } from './load.ts';
import { seeded, type Random } from './random.ts';
import { callTools } from './tools.ts';
import type { World } from './world.ts';

/** What a fault says of itself. */
export interface Struck {
  /** Did it happen? A fault that did not is a failure of the trial. */
  happened: boolean;
  /** What was seen of it: a process id that is gone, bytes that a wire swallowed, … */
  proof: string;
  /** What `heal` of the trial said, or a measure of the fault's own: milliseconds; null for never. */
  healing: Promise<number | null>;
  /** Further measures, for people. */
  notes?: readonly string[];
  /** What must hold of this fault beyond what the checker knows. */
  broken?: readonly string[];
}

/** One trial: a fault, the load around it, and what came of both. */
export interface Trial {
  world: World;
  load: Load;
  random: Random;
  /** A bound of so many milliseconds on a quiet machine. */
  within(ms: number): number;
  /** Calls of the fault's own, beside the load. */
  place(
    order: Omit<Order, 'script' | 'boundMs' | 'edge'> & {
      pieces: number;
      gapMs: number;
      edge?: string;
    } & Extra,
  ): Placed;
  /** So many streams, each with an event at its caller already; those that ended before that are left out. */
  openStreams(count: number, order: StreamOrder): Promise<Placed[]>;
  /** How many streams stand for many: 200, fewer in a short trial. */
  many: number;
  /** The tasks of this trial that a worker's death has touched so far. */
  crashed(): Promise<number>;
  /**
   * Sends small tasks through the affected part from now on, until one completes.
   * @param from the fault, or the end of an outage that is bounded, by `performance.now()`.
   * @returns how long after `from` that was; null when nothing completed in time.
   */
  heal(from: number, through: { pool: string; edge?: string }): Promise<number | null>;
  say(sentence: string): void;
}

interface StreamOrder {
  pool: string;
  edge?: string;
  pieces: number;
  gapMs: number;
  padBytes?: number;
  headers?: Record<string, string>;
}

interface Extra {
  padBytes?: number;
  poison?: true;
  boundMs?: number;
}

export interface Fault {
  name: string;
  /** Over how long the load is spread, for 2,000 tasks; fewer take less, but never less than the fault. */
  spanMs: number;
  /** It needs the wires of its world. */
  wired?: true;
  /** What the workers of its world take their tasks by, if not Redis. */
  transport?: 'sse';
  /** It strikes nothing that a call of a tool needs: none of them may end unknown. */
  sparesTools?: true;
  /** The share of the load that is sent before it strikes. */
  after?: number;
  strike(trial: Trial): Promise<Struck>;
}

export interface Result {
  id: string;
  name: string;
  passed: boolean;
  line: string;
  proof: string;
  notes: readonly string[];
  findings: readonly Finding[];
  healMs: number | null;
  counts: Tally;
}

export interface TrialDeps {
  world: World;
  id: string;
  fault: Fault;
  seed: number;
  tasks: number;
  /** The share of them that are turns of threads; the usual one where it is not said. */
  turns?: number;
  /** Instead of the fault's own, for a short trial. */
  spanMs?: number;
  /** Where the logs of all trials go. */
  folder: string;
  say: (sentence: string) => void;
}

const BOUND_MS = 60_000;
const QUIET_MS = 60_000;
const HEARD_MS = 3_000;
const PROBE_EVERY_MS = 100;
const MOST_PROBES = 20;
const WAVE = 20;
const PROGRESS_MS = 10_000;

export async function tryFault({
  world,
  id,
  fault,
  seed,
  tasks,
  turns,
  spanMs = fault.spanMs,
  folder,
  say,
}: TrialDeps): Promise<Result> {
  const mark = id.toLowerCase();
  const journal = openJournal(join(folder, id));
  world.journal = journal;
  const since = await world.rows.now();
  const random = seeded(seed * 1_000 + Number(id.replace(/\D/g, '')));
  const boundMs = BOUND_MS * world.patience;
  const load = startLoad({ world, mark, tasks, turns, spanMs, random, boundMs });
  const tools = callTools(
    { ...world.at, edge: () => world.edge(random() < 0.5 ? 'e1' : 'e2').name, folder: journal.folder },
    { mark, random: seeded(seed), load: load.done, boundMs },
  );
  const placed: Placed[] = [];
  const many = tasks < 300 ? 40 : 200;
  const trial = createTrial({ world, load, random, mark, since, many, say, placed });
  const shown = setInterval(() => {
    say(
      `${id}: ${String(load.sent())} of ${String(tasks)} tasks sent, ${String(load.streaming())} streams open`,
    );
  }, PROGRESS_MS);
  void load.done.finally(() => clearInterval(shown));
  await load.untilSent(Math.ceil(tasks * (fault.after ?? 0.3)));
  const struckAt = performance.now();
  const struck = await fault.strike(trial);
  journal.world({ what: 'struck', says: struck.proof });
  say(`${id}: ${struck.proof}`);
  const healMs = await struck.healing;
  await load.done;
  await tools.done;
  const open = await untilQuiet(world, since);
  // A row has ended a moment before its caller has heard so; a caller who reads nothing is not waited for.
  await Promise.race([Promise.all(placed.map(({ done }) => done)), pause(HEARD_MS * world.patience)]);
  const rows = await world.rows.final(since);
  const messages = await world.rows.messages(since);
  if (open > 0) say(`${id}: ${String(open)} tasks are still open`);
  const ofTools = {
    ...{ calls: tools.calls(), rows: await world.rows.tools(since), struckAt },
    ran: world.counter.ran().filter((label) => label.startsWith(`${mark}-`)),
    isHarmless: fault.sparesTools ?? false,
  };
  const logs = logsIn([world.folder, journal.folder]);
  const evidence = { ...journal.read(), rows, messages, tools: ofTools, logs, secrets: world.secrets };
  journal.close();
  const findings = check(evidence);
  keep(journal.folder, 'rows.json', rows);
  keep(journal.folder, 'messages.json', messages);
  keep(journal.folder, 'findings.json', findings);
  return resultOf({
    id,
    fault,
    struck,
    healMs,
    findings,
    counts: tally(evidence),
    tools: toolsLine(ofTools.calls, ofTools.ran),
  });
}

/** What callers of tools were told, and how much of it ran. */
function toolsLine(calls: readonly ToolCall[], ran: readonly string[]): string {
  const words = [...grouped(calls, (call) => call.outcome)].map(
    ([word, of]) => `${word} ${String(of.length)}`,
  );
  return `calls of tools ${String(calls.length)}, run ${String(ran.length)}: ${words.join(', ')}`;
}

function createTrial(deps: {
  world: World;
  load: Load;
  random: Random;
  mark: string;
  since: string;
  many: number;
  say: (sentence: string) => void;
  /** Every call beside the load is put here. */
  placed: Placed[];
}): Trial {
  const { world, load, random, mark, since, many, say, placed } = deps;
  let count = 0;
  const within = (ms: number): number => ms * world.patience;
  const place: Trial['place'] = ({ pieces, gapMs, padBytes, poison, edge, boundMs, ...order }) => {
    count += 1;
    const more = {
      ...(padBytes === undefined ? {} : { padBytes }),
      ...(poison === undefined ? {} : { poison }),
    };
    const script = { canary: `${mark}-x${String(count)}`, pieces, gapMs, ...more };
    const call = world.callers.place({
      ...order,
      script,
      edge: edge ?? world.edge(count % 2 === 0 ? 'e1' : 'e2').name,
      boundMs: boundMs ?? within(BOUND_MS + pieces * gapMs),
    });
    placed.push(call);
    return call;
  };
  return {
    ...{ world, load, random, within, place, say, many },
    heal: (from, through) => healed({ place, within }, from, through),
    crashed: () => world.rows.crashed(since),
    async openStreams(wanted, order) {
      const all: Placed[] = [];
      const open = (): Placed[] => all.filter((each) => !each.isDone());
      const from = performance.now();
      // A few at a time, and again for those that a busy machine refused, or that ended before the others were there.
      for (let tried = 0; open().length < wanted && tried < 2 * wanted;) {
        const missing = wanted - open().length;
        const wave = Math.min(WAVE, missing);
        tried += wave;
        // The first must last until the last is there: on a slow machine that takes longer.
        const eachMs = all.length === 0 ? 0 : (performance.now() - from) / all.length;
        const pieces = order.pieces + Math.ceil((missing * eachMs) / order.gapMs);
        const placed = Array.from({ length: wave }, () =>
          place({ door: 'infer', mode: 'stream', ...order, pieces }),
        );
        const events = await Promise.all(placed.map((each) => each.events(1)));
        all.push(...placed.filter((_, n) => (events[n] ?? 0) > 0));
      }
      return open();
    },
  };
}

/** Sends small tasks through the affected part until one that was sent after the fault completes. */
async function healed(
  trial: Pick<Trial, 'place' | 'within'>,
  from: number,
  through: { pool: string; edge?: string },
): Promise<number | null> {
  const until = performance.now() + trial.within(BOUND_MS);
  let first: number | null = null;
  const pending = new Set<Promise<void>>();
  while (first === null && performance.now() < until) {
    if (pending.size < MOST_PROBES) {
      const probe = trial.place({
        door: 'infer',
        mode: 'stream',
        ...through,
        pieces: 2,
        gapMs: 1,
        probe: true,
      });
      const judged = probe.done.then(({ completed, endedAt }) => {
        if (completed) first = Math.min(first ?? Infinity, endedAt - from);
      });
      pending.add(judged);
      void judged.finally(() => pending.delete(judged));
    }
    await Promise.race([pause(PROBE_EVERY_MS), ...pending]);
    // One that was refused at once is not asked again at once.
    if (first === null) await pause(PROBE_EVERY_MS / 4);
  }
  await Promise.all(pending);
  return first;
}

async function untilQuiet(world: World, since: string): Promise<number> {
  const until = performance.now() + QUIET_MS * world.patience;
  for (;;) {
    const open = await world.rows.open(since).catch(() => -1);
    if (open === 0 || performance.now() > until) return open;
    await pause(200);
  }
}

function resultOf({
  id,
  fault,
  struck,
  healMs,
  findings,
  counts,
  tools,
}: {
  id: string;
  fault: Fault;
  struck: Struck;
  healMs: number | null;
  findings: readonly Finding[];
  counts: Tally;
  tools: string;
}): Result {
  const of = (...rules: string[]): number => findings.filter(({ rule }) => rules.includes(rule)).length;
  const broken = struck.broken ?? [];
  const passed = struck.happened && healMs !== null && findings.length === 0 && broken.length === 0;
  const heal = healMs === null ? 'never' : `${(healMs / 1_000).toFixed(1)}s`;
  const [lost, dup, thread] = [of('lost'), of('doubled', 'mixed'), of('thread')];
  const head = `${id} ${passed ? 'PASS' : 'FAIL'} lost=${String(lost)} dup=${String(dup)} thread=${String(thread)} heal=${heal} tasks=${String(counts.accepted)}`;
  const errors = Object.entries(counts.errors).map(([code, n]) => `${code} ${String(n)}`);
  const untold = Object.entries(counts.untold).map(([code, n]) => `${code} ${String(n)}`);
  const more = [
    `completed ${String(counts.completed)}`,
    `cancelled ${String(counts.cancelled)}`,
    ...(errors.length > 0 ? [`errors: ${errors.join(', ')}`] : []),
    ...(counts.refused > 0
      ? [`refused ${String(counts.refused)}, within ${(counts.refusedMs / 1_000).toFixed(1)}s`]
      : []),
    ...(untold.length > 0 ? [`completed, but told: ${untold.join(', ')}`] : []),
    `first event p50 ${String(counts.firstMs.p50)} ms, p99 ${String(counts.firstMs.p99)} ms`,
  ];
  const why = [
    ...(struck.happened ? [] : [`the fault did not strike: ${struck.proof}`]),
    ...(healMs === null ? ['no new task completed through the affected part'] : []),
    ...broken,
  ];
  return {
    ...{ id, passed, healMs, findings, counts },
    name: fault.name,
    proof: struck.proof,
    line: `${head}  (${more.join('; ')})`,
    notes: [...why, ...(struck.notes ?? []), tools],
  };
}
