import type { Capabilities, Operation } from '../llm.ts';

/** What a request asks of a member, as far as it can be told from its text. */
export interface Needs {
  operation: Operation;
  tools: boolean;
  /** Pictures among the messages. */
  vision: boolean;
  /** Token ids in place of text. */
  tokenIds: boolean;
  /** It ends with an answer that is to be written on. */
  prefill?: boolean | undefined;
  /** What it will come to, where that was measured: of a thread the last prompt was. */
  promptTokens?: number | undefined;
  /** What it comes to, about. It chooses among members; nothing is ever refused because of it. */
  aboutTokens: number;
}

/** What a member cannot do. */
export type Unfit = 'operation' | 'tokenIds' | 'tools' | 'vision' | 'prefill' | 'room';

/** What any OpenAI-compatible backend is taken to serve when nobody has said otherwise. */
const assumed: readonly Operation[] = ['chat', 'completions', 'embeddings'];

/** Why a member cannot do it; null when, for all that is known, it can. */
export function unfitFor(can: Capabilities, needs: Needs): Unfit | null {
  if (!(can.operations ?? assumed).includes(needs.operation)) return 'operation';
  if (needs.tokenIds && can['tokenIds'] === false) return 'tokenIds';
  if (needs.tools && can.tools === false) return 'tools';
  if (needs.vision && can.vision === false) return 'vision';
  // Who does not say that it can would begin another answer.
  if (needs.prefill === true && can.prefill !== true) return 'prefill';
  if ((can.contextLength ?? Infinity) < (needs.promptTokens ?? 0)) return 'room';
  return null;
}

/** Of members that can do it, those that are not the first choice. */
export interface Choice {
  /** Llm ids of those for which it is perhaps too long, while another has the room: they wait a little before they take it. */
  spared: string[];
  /** Llm ids of those with less room than another: what is too long for their backend goes on to one that has more. */
  shorter: string[];
}

/** An estimate chooses, and a backend alone says that a text is too long for it. */
export function chosenAmong(
  members: readonly { id: string; can: Capabilities; served: boolean }[],
  { aboutTokens }: Needs,
): Choice {
  const room = ({ can }: { can: Capabilities }): number => can.contextLength ?? Infinity;
  const most = Math.max(...members.map(room));
  const shorter = members.filter((member) => room(member) < most);
  const tight = shorter.filter((member) => room(member) < aboutTokens);
  const isElsewhere = members.some((member) => member.served && !tight.includes(member));
  const idsOf = (of: typeof tight): string[] => of.map(({ id }) => id);
  return { spared: isElsewhere ? idsOf(tight) : [], shorter: idsOf(shorter) };
}
