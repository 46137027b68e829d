import type { Settings } from '../../core/runtime/settings/settings.ts';
import { FairGate, type GateLimits } from './fair-gate.ts';
import { SharedRoom, type SharedRoomDeps } from './shared-room.ts';
import type { Metrics } from '../metrics/metrics.ts';

/** What is done a few at a time, because each one takes much at once. */
export interface Gates {
  /** Bodies that are being inflated, in threads that others need too. */
  inflating: FairGate;
  /** Large bodies out of Postgres, and pages of long texts, while they are on their way to a reader or are looked at. */
  largeAnswers: FairGate;
  /** Sessions that register: each is a transaction over all of its llms. */
  registers: FairGate;
  /** Lists and sums, each a question to Postgres that may take its time. */
  lists: FairGate;
  /** Lists that are had as files, for as long as they are on their way: each has a page in its hand, and its reader may be slow. */
  files: FairGate;
  /** Changes of the registry: those of one row wait for each other, each with a connection to Postgres in its hand. */
  writes: FairGate;
  /** Calls of MCP servers, of each token at all edges: a model that calls many at once, or in a loop, waits for itself. */
  mcpCalls: FairGate;
}

const WITHIN_MS = 30_000;
/** As long as a call may take to be run, by its server's default. */
const MCP_WITHIN_MS = 120_000;
/** Of a token, at all edges together. */
const MOST_CALLS = 32;
/** A reader may be slow, and that is no work of ours. */
const MOST_REST_MS = 300;

/** Of the connections to Postgres, the most that one kind of these may take: what infers has the rest. */
const shareOf = (connections: number): number => Math.max(1, Math.floor(connections * 0.4));

const files = {
  ofOne: 2,
  inAll: 4,
  withinMs: WITHIN_MS,
  cap: 'files',
  message: 'Files of yours are on their way to you already, two at a time; read them, then ask for this one.',
};

/** Of each token, of which this edge has a part. */
const callsAt = (shared: SharedRoomDeps): GateLimits => ({
  ofOne: MOST_CALLS,
  room: new SharedRoom(shared, { what: 'calls', most: MOST_CALLS }),
  inAll: Infinity,
  withinMs: MCP_WITHIN_MS,
  mostWaiting: 256,
  cap: 'mcp_calls',
  message: `This token has ${String(MOST_CALLS)} MCP calls open at all edges together, and as many wait here as may. Let some end.`,
});

export function createGates(
  metrics: Pick<Metrics, 'refused'>,
  { databasePool }: Settings<'databasePool'>,
  shared: SharedRoomDeps,
): Gates {
  const inflating = {
    ofOne: 1,
    inAll: 2,
    withinMs: WITHIN_MS,
    cap: 'inflating',
    message: 'Compressed bodies of yours are being read already; send fewer at a time, or send them plain.',
  };
  const largeAnswers = {
    ofOne: 1,
    inAll: 4,
    withinMs: WITHIN_MS,
    // Each is some tens of milliseconds of the one thread that all have.
    restMs: (insideMs: number) => Math.min(MOST_REST_MS, 2 * insideMs),
    cap: 'large_answers',
    message:
      'A large answer is on its way to you already, and they go one at a time; read it, then ask for this one.',
  };
  const registers = {
    ofOne: 2,
    inAll: 4,
    withinMs: WITHIN_MS,
    cap: 'registers',
    message: 'Sessions of yours are registering already, two at a time. Try again later.',
  };
  const inAll = shareOf(databasePool);
  const lists = {
    ofOne: Math.min(3, inAll),
    inAll,
    withinMs: WITHIN_MS,
    cap: 'lists',
    message: 'Lists of yours are being read already, three at a time. Ask for fewer at once.',
  };
  const writes = {
    ofOne: Math.min(2, inAll),
    inAll,
    withinMs: WITHIN_MS,
    cap: 'writes',
    message: 'Changes of yours are being made already, two at a time. Send fewer at once.',
  };
  return {
    mcpCalls: new FairGate(callsAt(shared), metrics),
    lists: new FairGate(lists, metrics),
    files: new FairGate(files, metrics),
    writes: new FairGate(writes, metrics),
    registers: new FairGate(registers, metrics),
    inflating: new FairGate(inflating, metrics),
    largeAnswers: new FairGate(largeAnswers, metrics),
  };
}
