import { fork } from 'node:child_process';
import { setPriority } from 'node:os';
import { readFileSync } from 'node:fs';
import { systemClock as clock, pause } from '../../core/runtime/clock.ts';
import type { System } from '../support/system.ts';
import { chats } from '../support/backend.ts';
import type { Order } from './attacker.ts';
import { attacks, type Done } from './attacks.ts';

/** What an attack cost, and whom. */
export interface Cost extends Done {
  attack: string;
  /** The most that the edge's memory grew, and what was left of it 2 s after the end; NaN where there is no /proc. */
  grewBytes: number;
  keptBytes: number;
  /** How long its event loop was held at most, as the edge exports it. */
  heldMs: number;
  /** What a third user's calls take, alone and meanwhile. */
  aloneP95Ms: number;
  aloneHeldMs: number;
  underP95Ms: number;
  /** Calls of that user that failed meanwhile. */
  failed: number;
  /** Is the edge still the same process, and ready? */
  ready: boolean;
}

export interface House {
  system: System;
  victim: string;
  attacker: string;
  largeTask: string;
}

const LARGE_BYTES = 8_000_000;
const SAMPLE_MS = 20;
const GIVEN_BACK_MS = 2_000;

export interface How {
  share: number;
  forMs: number;
  alone: Alone;
  /** After the end of the attack, until its memory is to be given back. */
  givenBackMs?: number;
}

/** A pool with a worker for whoever calls, and what attackers have already. */
export async function furnish(system: System): Promise<House> {
  system.backend.reply(chats(['Hello', ' there']));
  await system.startWorker([{ name: 'victims', maxConcurrency: 8, backend: system.backend }]);
  const [victim, attacker] = await Promise.all([system.tokenFor('carol'), system.tokenFor('mallory')]);
  const llm = { name: 'nobodys', type: 'openai', model: 'm', url: 'http://backend.test/v1' };
  await system.call('POST', '/api/v1/llms', { body: llm });
  const content = 'x'.repeat(LARGE_BYTES);
  const body = { llm: 'nobodys', request: { messages: [{ role: 'user', content }] } };
  const task = (await (await system.call('POST', '/api/v1/tasks', { body, token: attacker })).json()) as {
    id: string;
  };
  return { system, victim, attacker, largeTask: task.id };
}

/** What a third user's calls take, and how long the loop is held, while nobody attacks. */
export interface Alone {
  p95Ms: number;
  heldMs: number;
}

export async function measureAlone(house: House, forMs: number): Promise<Alone> {
  await heldMs(house.system); // resets it
  const { tookMs } = await callsFor(house, forMs);
  return { p95Ms: p95(tookMs), heldMs: await heldMs(house.system) };
}

export async function measure(
  house: House,
  attack: string,
  { share, forMs, alone, givenBackMs = GIVEN_BACK_MS }: How,
): Promise<Cost> {
  const { system } = house;
  const pid = system.edge.child.pid ?? 0;
  const strike = await attackerFor(house, { attack, share, forMs });
  await heldMs(system); // resets it
  const before = rssOf(pid);
  let most = before;
  const sampling = setInterval(() => (most = Math.max(most, rssOf(pid))), SAMPLE_MS);
  const [done, under] = await Promise.all([strike(), callsFor(house, forMs)]);
  const held = await heldMs(system);
  await pause(givenBackMs);
  clearInterval(sampling);
  const kept = rssOf(pid) - before;
  const ready = system.edge.child.exitCode === null && (await system.call('GET', '/readyz')).status === 200;
  return {
    attack,
    ...done,
    grewBytes: most - before,
    keptBytes: kept,
    heldMs: held,
    aloneP95Ms: alone.p95Ms,
    aloneHeldMs: alone.heldMs,
    underP95Ms: p95(under.tookMs),
    failed: under.failed,
    ready,
  };
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

/**
 * The same, and what can only be told on a machine that does nothing else.
 * @param patience how many times the bounds of time are meant, on one that does.
 */
export function timedFaultsOf(cost: Cost, patience: number): string[] {
  const faults = faultsOf(cost);
  if (cost.heldMs > patience * Math.max(HELD_MS, 2 * cost.aloneHeldMs))
    faults.push(`the event loop was held for ${cost.heldMs.toFixed(0)} ms`);
  if (cost.underP95Ms > patience * (2 * cost.aloneP95Ms + SLACK_MS))
    faults.push(
      `another user's p95 is ${cost.underP95Ms.toFixed(0)} ms instead of ${cost.aloneP95Ms.toFixed(0)}`,
    );
  return faults;
}

/** What V8's heap breathes by itself, whatever is asked of it. */
const HEAP_BYTES = 64_000_000;
const HELD_MS = 50;
const SLACK_MS = 5;

const LOWEST_PRIORITY = 19;

/** A process that is ready to attack; what it costs itself is kept from who measures, as far as that can be. */
async function attackerFor(
  house: House,
  how: Pick<Order, 'attack' | 'share' | 'forMs'>,
): Promise<() => Promise<Done>> {
  if (!Object.hasOwn(attacks, how.attack)) throw new TypeError(`There is no attack named ${how.attack}.`);
  const child = fork(new URL('attacker.ts', import.meta.url), { execArgv: ['--import', 'tsx'] });
  if (child.pid !== undefined) setPriority(child.pid, LOWEST_PRIORITY);
  const message = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      child.once('message', resolve);
      child.once('error', reject);
      child.once('exit', (code) => reject(new TypeError(`the attacker left with ${String(code)}`)));
    });
  await message();
  return async () => {
    const order: Order = {
      ...how,
      port: Number(new URL(house.system.url).port),
      token: house.attacker,
      largeTask: house.largeTask,
    };
    const done = message();
    child.send(order);
    return (await done) as Done;
  };
}

const PAUSE_MS = 10;

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

function p95(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.95))] ?? 0;
}

/** The longest delay of the edge's event loop since this was asked last. */
async function heldMs(system: System): Promise<number> {
  const text = await (await system.call('GET', '/metrics')).text();
  return Number(/^nodejs_eventloop_lag_max_seconds ([\d.e+-]+)$/m.exec(text)?.[1] ?? Number.NaN) * 1_000;
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
