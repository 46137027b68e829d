import type { Policy } from '../../../core/task/disconnect.ts';
import { failedResult, rpcError, rpcErrors, rpcResult, type RpcFault, type RpcId } from '../rpc.ts';

/** What a request is for, of what its answer's form depends on. */
export const answers = ['list', 'read', 'call', 'other'] as const;
export type Answers = (typeof answers)[number];

/** One era of the protocol: what is done is the same, how it is asked for and answered is not. */
export interface Leg {
  era: 'legacy' | 'modern';
  /** A result, with what this era wants beside it. */
  result(id: RpcId, result: object, of: Answers): object;
  /** What a call came to that there is no result of, for a model: it can act on it. */
  failure(id: RpcId, failure: { code: string; message: string }): object;
  /** An error, of us or of a server, whose era may be another. */
  error(id: RpcId, fault: RpcFault): object;
  /** Of a method that is none: the status beside the error. */
  unknownStatus: 200 | 404;
  /** What a lost connection means to a call. */
  onDisconnect: Policy;
}

/** A lost connection is no cancel: so long a call goes on for a caller who may come back. */
const GRACE_S = 60;

/** Revisions that begin with `initialize`, the newest first. */
export const legacyRevisions = ['2025-11-25', '2025-06-18', '2025-03-26'] as const;
/** Revisions whose every request stands alone. */
export const modernRevisions = ['2026-07-28'] as const;

export const legacyLeg: Leg = {
  era: 'legacy',
  result: (id, result) => rpcResult(id, result),
  failure: (id, failure) => rpcResult(id, failedResult(failure)),
  error: (id, fault) => rpcError(id, fault),
  unknownStatus: 200,
  onDisconnect: { onDisconnect: 'grace', graceSeconds: GRACE_S },
};

/** Of the era before, which has a code of its own for a resource that is not there. */
export const RESOURCE_MISSING = -32_002;

/** For so long a list need not be asked for again; who listens hears sooner. */
const LIST_TTL_MS = 60_000;

/** What this server is called, in each result. */
const SERVER_INFO = 'io.modelcontextprotocol/serverInfo';

/** A closed stream is the cancel here. What was listed is so for this caller alone. */
export const modernLeg = (serverInfo: object): Leg => ({
  era: 'modern',
  result(id, result, of) {
    const meta = '_meta' in result && typeof result._meta === 'object' ? result._meta : {};
    const caching = of === 'list' ? LIST_TTL_MS : of === 'read' ? 0 : null;
    return rpcResult(id, {
      ...result,
      resultType: 'complete',
      ...(caching === null ? {} : { ttlMs: caching, cacheScope: 'private' }),
      _meta: { ...meta, [SERVER_INFO]: serverInfo },
    });
  },
  failure(id, failure) {
    return this.result(id, failedResult(failure), 'call');
  },
  error: (id, fault) =>
    rpcError(id, fault.code === RESOURCE_MISSING ? { ...fault, code: rpcErrors.invalidParams } : fault),
  unknownStatus: 404,
  onDisconnect: { onDisconnect: 'cancel', graceSeconds: null },
});
