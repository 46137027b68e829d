import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { systemClock as clock, pause } from '../../core/runtime/clock.ts';
import { chats } from '../support/backend.ts';
import { cpuMsOf } from '../support/cpu.ts';
import { until, type System } from '../support/system.ts';
import type { Done } from './attack.ts';
import type { Order } from './attacker.ts';
import { attacks } from './attacks.ts';
import { attackersProject, LONG_TEXTS } from './attacks/calls.ts';
import { startAttacker, startSink, type Attacker } from './forked.ts';

/** What a third user feels, and how long the edge's loop is held, for a while. */
export interface Felt {
  p95Ms: number;
  /** The longest delay of the edge's event loop, as the edge exports it. */
  heldMs: number;
  /** Calls of that user that failed. */
  failed: number;
  /** The longest stretch of the edge's own CPU between two turns of its loop; NaN where it is not watched (`watched`). */
  atOnceMs: number;
}

/** As what is felt alone: nothing that is felt is compared then. */
export const anything: Felt = { p95Ms: Infinity, heldMs: Infinity, failed: 0, atOnceMs: Infinity };

/** What an attack cost, and whom. */
export interface Cost extends Done, Felt {
  attack: string;
  /** The most that the edge's memory grew, and what was left of it 2 s after the end; NaN where there is no /proc. */
  grewBytes: number;
  keptBytes: number;
  /** CPU that the edge took meanwhile, and its attacker; NaN where there is no /proc. */
  edgeCpuMs: number;
  attackerCpuMs: number;
  /** What the third user feels without the attack: alone, or beside the same attack on a port that only discards. */
  without: Felt;
  beside: 'nobody' | 'sink';
  /** Is the edge still the same process, and ready again? */
  ready: boolean;
}

export interface House {
  system: System;
  victim: string;
  attackerToken: string;
  largeTask: string;
  attacker: Attacker;
  sink: { port: number; stop: () => void };
  /** Where the edge tells its stretches of CPU, if it does. */
  stretches: string | undefined;
  close(): Promise<void>;
}

const LARGE_BYTES = 8_000_000;
/** The longest that a prompt may be. */
const LONG_TEXT_BYTES = 100_000;
const SAMPLE_MS = 50;
const GIVEN_BACK_MS = 2_000;
const LOOK_MS = 100;
const SERVED_MS = 30_000;
/** How long an edge may take to be ready again: its look at Postgres has a bound, which a busy machine may miss once. */
const READY_AGAIN_MS = 10_000;

export interface How {
  share: number;
  forMs: number;
  alone: Felt;
  /** After the end of the attack, until its memory is to be given back. */
  givenBackMs?: number;
}

/** As an operator has it who sets nothing: of a system in tests users may ask as fast as they like. */
export const asShipped = { MCPCTL_MAX_USER_REQUEST_RATE: '', MCPCTL_MAX_ADDRESS_REQUEST_RATE: '' };

/** Of an edge whose stretches of CPU are to be known (stretches.mjs): its variables, and where it is asked. */
export function watched(): { env: Record<string, string>; path: string } {
  const path = join(tmpdir(), `hostile-${String(process.pid)}.sock`);
  const preload = fileURLToPath(new URL('stretches.mjs', import.meta.url));
  return { env: { NODE_OPTIONS: `--import ${preload}`, HOSTILE_STRETCHES: path }, path };
}

/** A pool with a worker for whoever calls, and what attackers have already. */
export async function furnish(system: System, stretches?: string): Promise<House> {
  system.backend.reply(chats(['Hello', ' there']));
  await system.startWorker([{ name: 'victims', maxConcurrency: 8, backend: system.backend }]);
  const [victim, attackerToken] = await Promise.all([system.tokenFor('carol'), system.tokenFor('mallory')]);
  const llm = { name: 'nobodys', type: 'openai', model: 'm', url: 'http://backend.test/v1' };
  await system.call('POST', '/api/v1/llms', { body: llm });
  const content = 'x'.repeat(LARGE_BYTES);
  const body = { llm: 'nobodys', request: { messages: [{ role: 'user', content }] } };
  const made = await system.call('POST', '/api/v1/tasks', { body, token: attackerToken });
  const task = (await made.json()) as { id: string };
  const make = async (path: string, values: object): Promise<void> => {
    const answer = await system.call('POST', path, { body: values, token: attackerToken });
    await answer.text(); // or its connection stays
    if (answer.status !== 201) throw new TypeError(`${path}: ${String(answer.status)}`);
  };
  await make('/api/v1/projects', { name: attackersProject, gate: 'require' });
  for (let n = 0; n < LONG_TEXTS; n++)
    await make('/api/v1/prompts', { name: `long-${String(n)}`, content: 'x'.repeat(LONG_TEXT_BYTES) });
  const attacker = startAttacker();
  const sink = await startSink();
  return {
    system,
    victim,
    attackerToken,
    largeTask: task.id,
    attacker,
    sink,
    stretches,
    async close() {
      attacker.stop();
      sink.stop();
      await system.close();
    },
  };
}

/** What a third user feels while nobody attacks. */
export async function feelAlone(house: House, forMs: number): Promise<Felt> {
  await callsFor(house, forMs / 2); // what compiles itself when it is used first has done so then
  return await feel(house, forMs);
}

export async function measure(house: House, attack: string, how: How): Promise<Cost> {
  const { system } = house;
  const { share, forMs, alone, givenBackMs = GIVEN_BACK_MS } = how;
  const pid = system.edge.child.pid ?? 0;
  const order = { attack, share, forMs, token: house.attackerToken, largeTask: house.largeTask };
  await untilServed(house);
  const strike = await house.attacker.ready({ ...order, port: portOf(system) });
  const before = rssOf(pid);
  const cpuBefore = [cpuMsOf(pid), cpuMsOf(house.attacker.pid)] as const;
  let most = before;
  const sampling = setInterval(() => (most = Math.max(most, rssOf(pid))), SAMPLE_MS);
  const struck = async () => {
    const [done, felt] = await Promise.all([strike(), feel(house, forMs)]);
    const [edgeCpuMs, attackerCpuMs] = [
      cpuMsOf(pid) - cpuBefore[0],
      cpuMsOf(house.attacker.pid) - cpuBefore[1],
    ];
    const until = clock.elapsed() + givenBackMs;
    while (rssOf(pid) - before > HEAP_BYTES && clock.elapsed() < until) await pause(LOOK_MS);
    return { done, felt, cpu: { edgeCpuMs, attackerCpuMs } };
  };
  const { done, felt, cpu } = await struck().finally(() => clearInterval(sampling));
  const keptBytes = rssOf(pid) - before;
  const ready = await isReadyAgain(system);
  const cost = { attack, ...done, ...felt, ...cpu, grewBytes: most - before, keptBytes, ready };
  if (!isFelt(felt, alone) || attacks[attack]?.needsAnswers)
    return { ...cost, without: alone, beside: 'nobody' };
  return { ...cost, without: await feelBeside(house, { ...order, port: house.sink.port }), beside: 'sink' };
}

const portOf = ({ url }: System): number => Number(new URL(url).port);

/** What a third user feels while an attack is made, wherever that is. */
async function feelBeside(house: House, order: Order): Promise<Felt> {
  const strike = await house.attacker.ready(order);
  const [, felt] = await Promise.all([strike(), feel(house, order.forMs)]);
  return felt;
}

/** Another user's p95 beside an attack and without it, in turn: the median of each, and of how many times as long it was. */
export interface InTurn {
  besideMs: number;
  withoutMs: number;
  times: number;
}

/** The same attack on a port that only discards is what is without it, where it can be made there: the machine is as busy then. */
export async function measureInTurn(
  house: House,
  attack: string,
  { forMs, rounds }: { forMs: number; rounds: number },
): Promise<InTurn> {
  const order = { attack, share: 1, forMs, token: house.attackerToken, largeTask: house.largeTask };
  const [beside, without]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    await untilServed(house);
    const quiet = attacks[attack]?.needsAnswers
      ? await feel(house, forMs)
      : await feelBeside(house, { ...order, port: house.sink.port });
    const felt = await feelBeside(house, { ...order, port: portOf(house.system) });
    without.push(quiet.p95Ms);
    beside.push(felt.p95Ms);
  }
  const times = beside.map((ms, round) => ms / (without[round] ?? Number.NaN));
  return { besideMs: median(beside), withoutMs: median(without), times: median(times) };
}

async function isReadyAgain(system: System): Promise<boolean> {
  const hasEnded = (): boolean => system.edge.child.exitCode !== null;
  const ask = async (): Promise<boolean> =>
    !hasEnded() && (await system.call('GET', '/readyz')).status === 200;
  return await until(ask, (ready) => ready || hasEnded(), READY_AGAIN_MS).catch(() => false);
}

/** Who has just flooded the edge is slowed for a while: what that attack still owes is not the next one's. */
async function untilServed({ system, attackerToken: token }: House): Promise<void> {
  const ask = async (): Promise<number> => (await system.call('GET', '/api/v1/whoami', { token })).status;
  await until(ask, (status) => status === 200, SERVED_MS);
}

const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** What must hold on any machine, whatever else it does: the edge stands, others are served, memory is as the bytes are. */
export function harmOf(cost: Cost): string[] {
  const faults: string[] = [];
  const allowed = 4 * cost.bytes + 64 * 1024 * cost.requests + HEAP_BYTES;
  if (!cost.ready) faults.push('the edge is not ready any more');
  if (cost.failed > 0) faults.push(`${String(cost.failed)} calls of another user failed`);
  if (cost.grewBytes > allowed)
    faults.push(`memory grew by ${mb(cost.grewBytes)} for ${mb(cost.bytes)} sent`);
  return faults;
}

/** What one attack may cost, where it was measured; the sentence says what it cost instead. */
export function faultsOf(cost: Cost): string[] {
  const faults = harmOf(cost);
  if (cost.keptBytes > HEAP_BYTES) faults.push(`${mb(cost.keptBytes)} were not given back within 2 s`);
  return faults;
}

/** The same, and what can only be told on a machine that does nothing else. */
export function timedFaultsOf(cost: Cost): string[] {
  const faults = faultsOf(cost);
  if (cost.heldMs > mostHeldMs(cost.without))
    faults.push(
      `the event loop was held for ${cost.heldMs.toFixed(0)} ms (its own work at once: ${cost.atOnceMs.toFixed(0)} ms)`,
    );
  if (cost.p95Ms > mostP95Ms(cost.without))
    faults.push(
      `another user's p95 is ${cost.p95Ms.toFixed(0)} ms instead of ${cost.without.p95Ms.toFixed(0)}`,
    );
  return faults;
}

const mostHeldMs = (without: Felt): number => Math.max(HELD_MS, 2 * without.heldMs);
const mostP95Ms = (without: Felt): number => 2 * without.p95Ms;

/** Is it more than the machine's own doing? */
const isFelt = (felt: Felt, alone: Felt): boolean =>
  felt.heldMs > mostHeldMs(alone) || felt.p95Ms > mostP95Ms(alone);

/** What V8's heap breathes by itself, whatever is asked of it. */
const HEAP_BYTES = 64_000_000;
const HELD_MS = 50;

const PAUSE_MS = 5;

async function feel(house: House, forMs: number): Promise<Felt> {
  await Promise.all([heldMs(house.system), atOnceMs(house)]); // resets them
  const { tookMs, failed } = await callsFor(house, forMs);
  const [delayMs, workMs] = await Promise.all([heldMs(house.system), atOnceMs(house)]);
  return { p95Ms: p95(tookMs), heldMs: delayMs, failed, atOnceMs: workMs };
}

/** Calls of a third user, one after the other, for so long. */
async function callsFor(house: House, forMs: number): Promise<{ tookMs: number[]; failed: number }> {
  const until = clock.elapsed() + forMs;
  const tookMs: number[] = [];
  let failed = 0;
  const body = { model: 'victims', messages: [{ role: 'user', content: 'hello' }] };
  while (clock.elapsed() < until) {
    const from = clock.elapsed();
    try {
      const answer = await house.system.call('POST', '/v1/chat/completions', { body, token: house.victim });
      await answer.text();
      if (answer.status !== 200) failed += 1;
    } catch {
      failed += 1; // the connection broke
    }
    tookMs.push(clock.elapsed() - from);
    await pause(PAUSE_MS);
  }
  return { tookMs, failed };
}

const p95 = (values: readonly number[]): number => quantile(values, 0.95);
const median = (values: readonly number[]): number => quantile(values, 0.5);

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** The longest delay of the edge's event loop since this was asked last. */
async function heldMs(system: System): Promise<number> {
  const text = await (await system.call('GET', '/metrics')).text();
  return Number(/^nodejs_eventloop_lag_max_seconds ([\d.e+-]+)$/m.exec(text)?.[1] ?? Number.NaN) * 1_000;
}

/** The longest stretch of the edge's CPU since this was asked last. */
async function atOnceMs({ stretches }: House): Promise<number> {
  return stretches === undefined ? Number.NaN : Number(await textOf(connect(stretches)));
}

function rssOf(pid: number): number {
  try {
    return (
      Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1]) * 1_024
    );
  } catch {
    return Number.NaN; // no /proc
  }
}
