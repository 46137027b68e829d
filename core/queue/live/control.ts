import type { Redis } from 'ioredis';
import { z } from 'zod';
import { printedPlaceSchema, serverOrders } from '../../mcp/process/orders.ts';
import { memberStateWord, restsMsSchema, sessionStateWord } from '../../member/protocol.ts';
import type { LetGo } from '../../task/let-go.ts';
import { orUnavailable } from '../link/connect.ts';
import type { Keys } from '../keys.ts';

/**
 * What is said over a session's control channel: to a worker that holds Redis itself, or to the relay that holds
 * its stream. Who hears a kind that is not for them passes it over. A lost message is made good: `cancel` by the
 * next beat's answer, `done` by the relay's look at the fences, `state` by being said again (to nobody who heard it, or on
 * another stream, once the relay knows that it may have missed some), `registered` by the relay's look at the rows then, `wake` by
 * being sent again, `woken` by the relay's asking again.
 */
const controlSchema = z.discriminatedUnion('kind', [
  /** The claim may speak no more: stop the run. */
  z.object({ kind: z.literal('cancel'), taskId: z.string(), claimId: z.string() }),
  /** To the relay, from the edge that heard the end: free the slot, finish the job (with a code: as failed). */
  z.object({
    kind: z.literal('done'),
    taskId: z.string(),
    claimId: z.string(),
    code: z.string().max(64).optional(),
    /** It was handed back: its job is moved by the requeue. */
    back: z.boolean().optional(),
  }),
  /** To the relay, from the edge that heard a heartbeat: a sign of life, and what it said. */
  z.object({
    kind: z.literal('state'),
    state: sessionStateWord.optional(),
    members: z.record(z.string(), memberStateWord).optional(),
    rests: z.record(z.string(), restsMsSchema).optional(),
  }),
  /** Wake this llm's backend; `wakeId` is the llm's id. Sent again until `wake:{L}` is held. */
  z.object({ kind: z.literal('wake'), wakeId: z.string() }),
  /** Do that about the process of this MCP server; what came of it is said as `OrderAnswers` has it. */
  z.object({
    kind: z.literal('server'),
    orderId: z.uuid(),
    llmId: z.string(),
    order: z.enum(serverOrders),
    /** Of `logs`: behind which place. */
    after: printedPlaceSchema.optional(),
  }),
  /** To the relay, from the edge that heard how it went. */
  z.object({ kind: z.literal('woken'), wakeId: z.string(), message: z.string().optional() }),
  /** To a worker that holds Redis itself: what it may there has changed, so register again. */
  z.object({ kind: z.literal('again') }),
  /** To the relay: the session's rows have changed. */
  z.object({ kind: z.literal('registered') }),
  /** To the relay: the worker has said goodbye, or, with a sentence, was put out. */
  z.object({ kind: z.literal('left'), why: z.string().max(500).optional() }),
  /** To relays: this stream carries the session now; who holds an older one lets go of it. */
  z.object({ kind: z.literal('stream'), nonce: z.string() }),
  /** From the relay that let go, to the stream `nonce`: claims that the worker runs. */
  z.object({
    kind: z.literal('held'),
    nonce: z.string(),
    claims: z.array(z.object({ taskId: z.string(), poolKey: z.string(), claimId: z.string() })),
  }),
]);
export type Control = z.infer<typeof controlSchema>;
type Done = Extract<Control, { kind: 'done' }>;

/** What the relay is told of a claim that is over. */
export const doneOf = (claim: Pick<Done, 'taskId' | 'claimId'>, letGo: LetGo): Done => ({
  kind: 'done',
  taskId: claim.taskId,
  claimId: claim.claimId,
  ...(letGo.kind === 'failed' && { code: letGo.code }),
  ...(letGo.kind === 'handed back' && { back: true }),
});

export function letGoOf({ back, code }: Pick<Done, 'back' | 'code'>): LetGo {
  if (back) return { kind: 'handed back' };
  return code === undefined ? { kind: 'completed' } : { kind: 'failed', code };
}

/** @returns how many heard it: 0 means the worker is gone, or about to reconnect. @throws McpctlError `unavailable`. */
export async function sendControl(
  { redis, keys }: { redis: Redis; keys: Keys },
  { session, boot, message }: { session: string; boot: string; message: Control },
): Promise<number> {
  return Number(await orUnavailable(redis.spublish(keys.control(session, boot), JSON.stringify(message))));
}

/** Null for anything that is not a message of ours: newer edges may say more than this worker knows. */
export function parseControl(text: string): Control | null {
  try {
    const parsed = controlSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null; // not JSON, so not for us
  }
}
