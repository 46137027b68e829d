import type { OnBusy } from '../../../core/agent/thread.ts';
import type { Request } from 'express';
import { McpctlError } from '../../../core/errors.ts';
import type { MakeForm } from '../form/form.ts';
import type { TurnDoor } from '../ask/call.ts';
import type { Operation } from '../../../core/llm.ts';
import { uuidSchema } from '../../../core/names.ts';

/** A turn that somebody asks for. */
export interface AskedTurn {
  source: TurnDoor;
  /** What the caller called the agent; null: the body says it. */
  agent: string | null;
  /** Null: a new one. */
  threadId: string | null;
  /** A chat, of which the thread holds the beginning. */
  body: string;
  onBusy: OnBusy;
  /** It ends a turn that waits for results of tools. */
  abandons?: boolean;
  /** As `Composing` has it. */
  personality?: string | undefined;
  /** In place of the agent's system prompt. */
  system?: string | undefined;
  /** Nothing of the thread may be left out. */
  isWhole?: boolean | undefined;
  /** The last turn, which this one is tried again for. */
  supersedes?: { id: string; n: number };
  /** In place of what the header says. */
  pin?: string | undefined;
  /** It is no turn of a thread to its caller: the body is the whole conversation, and `form` how its door looks, where that is no chat. */
  passing?: { form: MakeForm | undefined };
}

/** At a door of OpenAI's the model says both, `reviewer:grumpy`; at our own each has its place. */
export function calledAs(
  { agent, personality }: Pick<AskedTurn, 'agent' | 'personality'>,
  model: string | undefined,
): { name: string | undefined; personality: string | undefined } {
  if (agent !== null || model === undefined) return { name: agent ?? model, personality };
  const [, name = model, suffix] = /^(.+):([^:]+)$/.exec(model) ?? [];
  return { name, personality: suffix === 'latest' ? undefined : suffix };
}

/**
 * What `x-mcpctl-thread: new|<id>` asks for at a door of OpenAI's: the body then brings what is new alone.
 * @returns null without that header. @throws McpctlError `invalid_request`.
 */
export function turnAsked(req: Request, operation: Operation): AskedTurn | null {
  const header = req.get('x-mcpctl-thread');
  if (header === undefined) return null;
  const id = uuidSchema.safeParse(header);
  const message =
    operation === 'chat'
      ? 'must be new, or the id of a thread'
      : 'a thread is asked by chat completions alone';
  if (operation !== 'chat' || (header !== 'new' && !id.success))
    throw new McpctlError('invalid_request', undefined, { details: [{ path: 'x-mcpctl-thread', message }] });
  const { text: body = '' } = req.context;
  return { source: 'v1', agent: null, threadId: id.data ?? null, body, onBusy: 'reject' };
}
