import type { Link } from '../gate.ts';
import { wordsOf } from './words.ts';

/** A prompt of a project, without its text. */
export interface ListedPrompt {
  id: string;
  name: string;
  /** As people wrote it, 0 to 1000. */
  priority: number;
  /** The same, 1 to 10. */
  weight: number;
  tags: readonly string[];
  /** One line; of one that has none its first sentence. */
  summary: string;
  /** Of its text in UTF-8; null: it is elsewhere, and was not read. */
  bytes: number | null;
  link: Link | null;
  /** Of this one; each change of it is another. */
  revision: number;
}

/** Of all that is told together, in UTF-8; more is listed. @internal tests count with it */
export const BUDGET_BYTES = 8_192;
/** Prompts of this weight are told whatever the task is. */
const ALWAYS = 10;

/**
 * A prompt's priority of 0 to 1000 as one of ten: in hundreds, so that one that says none weighs 5. What is not above ten is one of
 * ten already, as people write it who think of ten.
 */
export const weightOf = (priority: number): number =>
  Math.min(ALWAYS, Math.max(1, priority > ALWAYS ? Math.floor(priority / 100) : priority));

/** How many words of a task it has, and where. */
export interface Hits {
  tags: number;
  name: number;
  summary: number;
}

export interface Ranked {
  prompt: ListedPrompt;
  hits: Hits;
  score: number;
  /** It may be told; else it is listed. */
  isWanted: boolean;
}

const MOST_SUMMARY_HITS = 3;

type Words = Readonly<Record<keyof Hits, ReadonlySet<string>>>;
/** Of prompts that are asked for often, the words of each are looked for once. */
const lookedFor = new WeakMap<ListedPrompt, Words>();

function wordsOfPrompt(prompt: ListedPrompt): Words {
  const before = lookedFor.get(prompt);
  if (before) return before;
  const { tags, name, summary } = prompt;
  const words = { tags: wordsOf(...tags), name: wordsOf(name), summary: wordsOf(summary) };
  lookedFor.set(prompt, words);
  return words;
}

function rankedOf(prompt: ListedPrompt, task: ReadonlySet<string>): Ranked {
  const words = wordsOfPrompt(prompt);
  const count = (of: keyof Hits): number => {
    let hits = 0;
    for (const word of task) if (words[of].has(word)) hits++;
    return hits;
  };
  const hits = { tags: count('tags'), name: count('name'), summary: count('summary') };
  const score = prompt.weight * (3 * hits.tags + 2 * hits.name + Math.min(MOST_SUMMARY_HITS, hits.summary));
  return { prompt, hits, score, isWanted: true };
}

const isAlways = ({ prompt }: Ranked): boolean => prompt.weight === ALWAYS;

function inOrder(a: Ranked, b: Ranked): number {
  if (isAlways(a) !== isAlways(b)) return isAlways(a) ? -1 : 1;
  if (a.score !== b.score) return b.score - a.score;
  if (a.prompt.weight !== b.prompt.weight) return b.prompt.weight - a.prompt.weight;
  return a.prompt.name < b.prompt.name ? -1 : 1;
}

/**
 * A project's prompts, those first that are most to a task: the same order for the same prompts and words, whoever asks.
 * @param picked names that a model has chosen, in its order: those alone are told then, after the ones that always are.
 */
export function rankedFor(
  prompts: readonly ListedPrompt[],
  { task, tags, picked }: { task: string; tags: readonly string[]; picked: readonly string[] | null },
): Ranked[] {
  const words = wordsOf(task, ...tags);
  const ranked = prompts.map((prompt) => rankedOf(prompt, words)).sort(inOrder);
  if (picked === null) return ranked;
  const places = new Map(picked.map((name, place) => [name, place]));
  const placeOf = (one: Ranked): number => (isAlways(one) ? -1 : (places.get(one.prompt.name) ?? Infinity));
  const [wanted, others] = [
    ranked.filter((one) => placeOf(one) < Infinity),
    ranked.filter((one) => placeOf(one) === Infinity),
  ];
  return [
    ...wanted.sort((a, b) => placeOf(a) - placeOf(b)),
    ...others.map((one) => ({ ...one, isWanted: false })),
  ];
}

export interface Chosen {
  whole: Ranked[];
  /** Those that are only listed, in their order. */
  listed: Ranked[];
}

/** Whole ones, in their order, while they fit together; one that does not fit is listed, and a smaller one behind it may. */
export function chosenIn(ranked: readonly Ranked[], budgetBytes = BUDGET_BYTES): Chosen {
  const chosen: Chosen = { whole: [], listed: [] };
  let left = budgetBytes;
  for (const one of ranked) {
    const { bytes } = one.prompt;
    const fits = one.isWanted && bytes !== null && bytes <= left;
    (fits ? chosen.whole : chosen.listed).push(one);
    if (fits) left -= bytes;
  }
  return chosen;
}

/** Why it is told, in words for people. */
export function whyTold({ prompt, hits, score }: Ranked, picked: readonly string[] | null): string {
  if (prompt.weight === ALWAYS) return 'always told';
  if (picked !== null) return 'chosen by the llm';
  const { tags, name, summary } = hits;
  return `score ${String(score)}: weight ${String(prompt.weight)}, words in tags ${String(tags)}, name ${String(name)}, summary ${String(summary)}`;
}
