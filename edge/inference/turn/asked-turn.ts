import type { OnBusy } from '../../../core/agent/thread.ts';

/** A turn that somebody asks for. */
export interface AskedTurn {
  source: 'agent' | 'v1';
  /** What the caller called the agent; null: the body says it. */
  agent: string | null;
  /** Null: a new one. */
  threadId: string | null;
  /** A chat, of which the thread holds the beginning. */
  body: string;
  onBusy: OnBusy;
  /** As `Composing` has it. */
  personality?: string | undefined;
  /** The last turn, which this one is tried again for. */
  supersedes?: { id: string; n: number };
  /** In place of what the header says. */
  pin?: string | undefined;
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
