import { isErrorCode } from '../../../core/errors.ts';
import { isTerminal } from '../../../core/task/task.ts';
import { piecesOf, type Evidence, type FinalRow } from '../lines.ts';
import { threadFaults } from './threads.ts';
import { callsOf, contentOfBody, grouped, wordOf, type Call, type Finding, type Rule } from './calls.ts';
import { toolFaults } from './tools.ts';

/** A call and its task, as far as there is one. */
interface Story {
  call: Call;
  row: FinalRow | undefined;
}

/**
 * Codes that end a call and not its task: the answer was whole and its settlement was not known yet; the edge
 * could not reach what it needs; nobody knew better. How often the task completed all the same is counted.
 */
const notOfTheTask = new Set(['settle_pending', 'unavailable', 'internal', 'gone']);

/** Reads all the logs and the final rows against what is promised. Pure: the same evidence, the same findings. */
export function check(evidence: Evidence): Finding[] {
  const calls = callsOf(evidence.clients);
  const byId = new Map(evidence.rows.map((row) => [row.id, row]));
  const byCanary = grouped(evidence.rows, ({ canary }) => canary);
  const stories = calls.map((call) => ({
    call,
    row: byId.get(call.taskId ?? '') ?? byCanary.get(call.sent.canary)?.[0],
  }));
  return [
    ...evidence.rows.flatMap(lost),
    ...calls.flatMap((call) => unknownTask(call, byId)),
    ...[...byCanary.values()].flatMap(twoTasks),
    ...stories.flatMap(contradictions),
    ...calls.flatMap(streamFaults),
    ...evidence.rows.flatMap(rowsContent),
    ...unearned(stories, evidence),
    ...threadFaults(stories, evidence),
    ...stories.flatMap((story) => callersDue(story, evidence)),
    ...stories.flatMap(givenUp),
    ...(evidence.tools ? toolFaults(evidence.tools) : []),
    ...leaks(evidence),
  ];
}

const nameOf = ({ sent, taskId }: Call): string => `call ${sent.canary} (task ${taskId ?? 'unknown'})`;

function lost(row: FinalRow): Finding[] {
  if (isTerminal(row.status)) return [];
  return [{ rule: 'lost', says: `task ${row.id} (${row.canary}) is ${row.status} at the end` }];
}

/** An id was given out, so its row had been committed. */
function unknownTask(call: Call, rows: ReadonlyMap<string, FinalRow>): Finding[] {
  if (call.taskId === null || rows.has(call.taskId)) return [];
  return [{ rule: 'lost', says: `${nameOf(call)} was accepted, and has no row` }];
}

function twoTasks(rows: readonly FinalRow[]): Finding[] {
  if (rows.length < 2) return [];
  const ids = rows.map(({ id }) => id).join(', ');
  return [{ rule: 'doubled', says: `call ${rows[0]?.canary ?? ''} became several tasks: ${ids}` }];
}

/** Everything anybody was told of a task's end must be what its row says. */
function contradictions({ call, row }: Story): Finding[] {
  const findings: Finding[] = [];
  const say = (words: string): void => {
    const is = row ? `${row.status} ${row.errorCode ?? ''}`.trim() : 'not there';
    findings.push({ rule: 'doubled', says: `${nameOf(call)} was told ${words}; the row is ${is}` });
  };
  const { end } = call;
  if (end.kind === 'completed' && row?.status !== 'completed') say('completed');
  if (end.kind === 'failed' && row && isTerminal(row.status) && !notOfTheTask.has(end.code)) {
    const { errorCode } = row;
    const words =
      errorCode !== null && isErrorCode(errorCode) ? [errorCode, wordOf(errorCode, call.sent.door)] : [];
    if (row.status === 'completed' || !words.includes(end.code)) say(end.code);
  }
  for (const seen of call.seen) {
    if (isTerminal(seen.status) && (seen.status !== row?.status || seen.code !== row.errorCode)) {
      say(`${seen.status} by ${seen.by}`);
    }
  }
  return findings;
}

/** One request at a backend per answer, this task's bytes alone, gapless and in order. */
function streamFaults(call: Call): Finding[] {
  const all = call.parts.flatMap(({ pieces }) => pieces);
  const own = all.filter((piece) => piece !== null);
  const nonces = new Set(own.map(({ nonce }) => nonce));
  const findings: Finding[] = [];
  if (own.length < all.length) {
    findings.push({ rule: 'crossed', says: `${nameOf(call)} got text that no backend wrote` });
  }
  const foreign = own.find(({ canary }) => canary !== call.sent.canary);
  if (foreign) findings.push({ rule: 'crossed', says: `${nameOf(call)} got a piece of ${foreign.canary}` });
  if (nonces.size > 1) {
    findings.push({ rule: 'mixed', says: `${nameOf(call)} got pieces of ${[...nonces].join(' and ')}` });
  }
  let next = 0;
  for (const part of call.parts) {
    if (part.from === 'start') next = 0;
    for (const piece of part.pieces) {
      if (piece === null) continue;
      if (piece.seq !== next) {
        const says = `${nameOf(call)} got piece ${String(piece.seq)} where ${String(next)} was due`;
        return [...findings, { rule: 'gap', says }];
      }
      next += 1;
    }
  }
  return findings;
}

/** What is stored is the task's own, and of one request. */
function rowsContent(row: FinalRow): Finding[] {
  if (row.status !== 'completed' || row.responseBody === null) return [];
  const pieces = piecesOf(contentOfBody(row.responseBody));
  const whose = `the answer stored for task ${row.id} (${row.canary})`;
  if (!pieces || pieces.some(({ canary }) => canary !== row.canary)) {
    return [{ rule: 'crossed', says: `${whose} holds bytes of another` }];
  }
  if (new Set(pieces.map(({ nonce }) => nonce)).size > 1)
    return [{ rule: 'mixed', says: `${whose} is of two requests` }];
  if (pieces.some(({ seq }, n) => seq !== n)) return [{ rule: 'gap', says: `${whose} has a gap` }];
  return [];
}

/** Never a happy ending that did not happen. */
function unearned(stories: readonly Story[], { backends, rows }: Evidence): Finding[] {
  const canaries = new Map(
    backends.flatMap((l) => (l.what === 'request' ? [[l.nonce, l.canary] as const] : [])),
  );
  const finished = new Map(
    backends.flatMap((l) => (l.what === 'finished' ? [[l.nonce, l.pieces] as const] : [])),
  );
  const done = new Set([...finished.keys()].map((nonce) => canaries.get(nonce)));
  const findings: Finding[] = [];
  for (const { call } of stories) {
    if (call.end.kind !== 'completed') continue;
    const last = call.parts.at(-1)?.pieces.at(-1) ?? call.parts.at(-2)?.pieces.at(-1);
    const wrote = finished.get(last?.nonce ?? '');
    if (!last || wrote === undefined) {
      findings.push({
        rule: 'unearned',
        says: `${nameOf(call)} was told success; no backend finished that request`,
      });
    } else if (last.seq + 1 !== wrote) {
      const says = `${nameOf(call)} was told success after ${String(last.seq + 1)} of ${String(wrote)} pieces`;
      findings.push({ rule: 'unearned', says });
    }
  }
  for (const row of rows) {
    if (row.status !== 'completed' || done.has(row.canary)) continue;
    findings.push({
      rule: 'unearned',
      says: `task ${row.id} (${row.canary}) is completed; no backend finished it`,
    });
  }
  return findings;
}

/** Each caller has a result or an error in the form of its door, in time, unless it left or its edge died. */
function callersDue({ call, row }: Story, { world }: Evidence): Finding[] {
  if (call.left) return [];
  const say = (rule: Rule, what: string): Finding[] => [{ rule, says: `${nameOf(call)} ${what}` }];
  const tookMs = call.endedAt - call.sent.at;
  if (call.how === 'late' || call.how === 'unended' || tookMs > call.sent.boundMs) {
    return say('late', `had nothing after ${String(Math.round(Math.min(tookMs, call.sent.boundMs)))} ms`);
  }
  if (call.end.kind === 'malformed') return say('malformed', call.end.why);
  if (call.end.kind === 'cut' && !edgeWent(call, world) && !failedLate(call, row))
    return say('broken', `was cut off by an edge that lived (${call.how})`);
  if (call.end.kind === 'accepted' && !call.seen.some(({ status }) => isTerminal(status))) {
    return say('late', 'never saw its task end');
  }
  return [];
}

/** Of a task that nobody looks on at nothing is shown, so it starts over however often its workers die. */
function givenUp({ call, row }: Story): Finding[] {
  if (call.sent.mode !== 'later' || row?.errorCode !== 'worker_lost') return [];
  if (call.parts.some(({ pieces }) => pieces.length > 0)) return [];
  return [{ rule: 'given up', says: `${nameOf(call)} was shown to nobody, and ended worker_lost` }];
}

/** `/v1` says 200 to one who has waited for long; then a cut is all that can tell of a failure (docs/openai.md). */
function failedLate({ sent, taskId }: Call, row: FinalRow | undefined): boolean {
  return sent.door === 'v1' && sent.mode === 'whole' && taskId !== null && row?.status === 'error';
}

/** Did the edge that the call spoke to last go while it was spoken to, or was it down already? */
function edgeWent(call: Call, world: Evidence['world']): boolean {
  const last = call.edges.at(-1);
  if (!last) return false;
  let down = false;
  for (const line of world) {
    if (line.what !== 'edge-down' && line.what !== 'edge-up') continue;
    if (line.edge !== last.edge || line.at > call.endedAt) continue;
    if (line.at <= last.at) down = line.what === 'edge-down';
    else if (line.what === 'edge-down') return true;
  }
  return down;
}

/** Prompts hold the word, answers hold pieces. */
const contents = /canary|<[a-z0-9]+-[a-z0-9]+\.n[a-z0-9]+\.\d+>/;

/** No log line holds a secret, a prompt or an answer; no caller is told a secret. */
function leaks({ clients, logs, secrets }: Evidence): Finding[] {
  const findings: Finding[] = [];
  const say = (whose: string, what: string): void =>
    void findings.push({ rule: 'leaked', says: `${whose}: ${what}` });
  for (const { process, line } of logs) {
    if (contents.test(line)) say(`the log of ${process}`, `a prompt or an answer in ${line.slice(0, 200)}`);
    if (secrets.some((secret) => line.includes(secret))) say(`the log of ${process}`, 'a secret in a line');
  }
  for (const line of clients) {
    const text = line.what === 'data' || line.what === 'body' ? line.text : '';
    if (secrets.some((secret) => text.includes(secret))) say(`call ${line.call}`, 'was told a secret');
  }
  return findings;
}

export interface Tally {
  /** Rows, that is: accepted tasks. */
  accepted: number;
  completed: number;
  cancelled: number;
  /** Error codes of rows, with how many. */
  errors: Record<string, number>;
  /** Calls that no row came of: refused before anything was accepted. */
  refused: number;
  /** The longest that one of those waited for its refusal. */
  refusedMs: number;
  /** How long callers of streams waited for the first of them, in milliseconds: half of them, and all but one in a hundred. */
  firstMs: { p50: number; p99: number };
  /** Codes that callers were told though their task completed: such a code says nothing of the task. */
  untold: Record<string, number>;
}

function counted(names: readonly string[]): Record<string, number> {
  return Object.fromEntries([...grouped(names, (name) => name)].map(([name, all]) => [name, all.length]));
}

function firstsOf(clients: Evidence['clients']): Tally['firstMs'] {
  const from = new Map<string, number>();
  const waits: number[] = [];
  for (const line of clients) {
    if (line.what === 'sent' && line.mode === 'stream' && !line.probe) from.set(line.call, line.at);
    if (line.what !== 'data') continue;
    const began = from.get(line.call);
    if (began !== undefined && from.delete(line.call)) waits.push(line.at - began);
  }
  waits.sort((a, b) => a - b);
  const at = (share: number): number => Math.round(waits[Math.floor((waits.length - 1) * share)] ?? 0);
  return { p50: at(0.5), p99: at(0.99) };
}

export function tally({ clients, rows }: Pick<Evidence, 'clients' | 'rows'>): Tally {
  const calls = callsOf(clients);
  const byCanary = new Map(rows.map((row) => [row.canary, row]));
  const refused = calls.filter(({ sent, left }) => !left && !byCanary.has(sent.canary));
  const untold = calls.flatMap(({ sent, end }) =>
    end.kind === 'failed' && byCanary.get(sent.canary)?.status === 'completed' ? [end.code] : [],
  );
  return {
    accepted: rows.length,
    completed: rows.filter(({ status }) => status === 'completed').length,
    cancelled: rows.filter(({ status }) => status === 'cancelled').length,
    errors: counted(rows.flatMap(({ status, errorCode }) => (status === 'error' ? [errorCode ?? '?'] : []))),
    refused: refused.length,
    refusedMs: Math.round(Math.max(0, ...refused.map(({ sent, endedAt }) => endedAt - sent.at))),
    firstMs: firstsOf(clients),
    untold: counted(untold),
  };
}
