import type { AskedTurn } from './turn.ts';

/** At a door of OpenAI's the model says both, `reviewer:grumpy`; at our own each has its place. */
export function calledAs(
  { agent, personality }: Pick<AskedTurn, 'agent' | 'personality'>,
  model: string | undefined,
): { name: string | undefined; personality: string | undefined } {
  if (agent !== null || model === undefined) return { name: agent ?? model, personality };
  const [, name = model, said] = /^(.+):([^:]+)$/.exec(model) ?? [];
  return { name, personality: said === 'latest' ? undefined : said };
}
