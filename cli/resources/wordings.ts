import { readLlm, type SeenLlm } from '../net/views.ts';
import type { Keyed } from '../keyed.ts';
import { statusOf } from '../say/columns.ts';
import { cell } from '../say/text.ts';

export type Say = (item: Keyed) => string | undefined;

/** By paths of a definition: what stands in a column, in a line, and beside a name that is completed. */
interface Wordings {
  /** What is read of one: a field that another release sends otherwise is not there. */
  read: (item: Keyed) => Keyed['raw'];
  columns: Readonly<Record<string, Say>>;
  lines: Readonly<Record<string, Say>>;
  about: Say;
}

/** Each is read once, however many of its cells are asked for. */
const llmViews = new WeakMap<Keyed['raw'], SeenLlm['view']>();
function llmIn({ raw }: Keyed): SeenLlm['view'] {
  const view = llmViews.get(raw) ?? readLlm(raw).view;
  llmViews.set(raw, view);
  return view;
}

const ofLlm =
  (say: (view: SeenLlm['view']) => string | null | undefined): Say =>
  (item) =>
    say(llmIn(item)) ?? undefined;

/** Where an llm's key is kept, by name: never a key. */
const keyName = ofLlm(({ apiKeyRef: ref }) => {
  if (!ref) return undefined;
  if ('env' in ref) return ref.env;
  if ('file' in ref) return ref.file;
  return `${ref.secretRef.name}/${ref.secretRef.key}`;
});

/** `chat, tools, contextLength=8192`: what is false is left out. */
function capabilityWords(capabilities: Readonly<Record<string, unknown>>): string {
  return Object.entries(capabilities)
    .flatMap(([name, value]) => {
      if (name === 'operations' && Array.isArray(value)) return value.map(String);
      if (value === true) return [name];
      if (value === false || value === null || value === undefined) return [];
      return [`${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`];
    })
    .join(', ');
}

/** What this release says better than the value at a path does, by the word of the resource. */
export const wordings: Readonly<Record<string, Wordings>> = {
  llm: {
    read: llmIn,
    columns: {
      status: ofLlm(statusOf),
      apiKeyRef: keyName,
      inactiveReason: ofLlm((llm) => llm.inactiveReason ?? llm.statusReason ?? llm.misconfigured),
    },
    lines: {
      aliases: ofLlm(({ aliases }) => aliases?.join(', ')),
      status: ofLlm(({ status, inactiveReason: why }) => (status && why ? `${status} (${why})` : status)),
      apiKeyRef: keyName,
      capabilities: ofLlm(({ capabilities }) => capabilities && capabilityWords(capabilities)),
    },
    about: ofLlm(({ status, model }) => `${cell(status)}, ${cell(model)}`),
  },
};
