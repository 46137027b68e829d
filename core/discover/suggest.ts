import type { BackendType, FoundBackend } from './probes.ts';

/** An entry of `providers` in config.json (docs/spec.md §7). */
export interface SuggestedProvider {
  name: string;
  type: BackendType;
  url: string;
  model: string;
  poolName: string;
  publish: true;
}

const longest = 63;

interface Suggested {
  provider: SuggestedProvider;
  model: FoundBackend['models'][number];
}

interface Suggesting {
  /** Names that are somebody's already. */
  taken?: Iterable<string>;
  /** Models that cannot chat, too, behind the others. */
  others?: boolean;
}

/**
 * Entries for what was found: named `<model>-<host>` in the pool `<model>`, so that a second teammate with the
 * same model joins it instead of colliding. Those in memory come first.
 */
export function suggestProviders(
  backends: readonly FoundBackend[],
  host: string,
  { taken: before = [], others = false }: Suggesting = {},
): Suggested[] {
  const taken = new Set(before);
  return backends.flatMap(({ type, url, models }) =>
    models
      .filter(({ chat }) => chat || others)
      .sort((a, b) => rankOf(b) - rankOf(a))
      .map((model) => {
        const poolName = asName(shortName(model.id), longest) || 'model';
        const name = freeName(`${asName(poolName, 40)}-${asName(shortHost(host), 22) || 'host'}`, taken);
        taken.add(name);
        return { model, provider: { name, type, url, model: model.id, poolName, publish: true } };
      }),
  );
}

const rankOf = ({ chat, loaded = false }: Suggested['model']): number => Number(chat) * 2 + Number(loaded);

/** `Qwen/Qwen3-8B` and `/models/qwen3-8b.gguf` are the same model to people. */
function shortName(model: string): string {
  const last = model.split(/[\\/]/).findLast((part) => part !== '') ?? model;
  return last.replace(/\.gguf$/i, '').replace(/:latest$/, '');
}

function shortHost(host: string): string {
  return host.split('.')[0] ?? host;
}

/** What a name may be made of (core/names.ts), at most `most` long. */
function asName(text: string, most: number): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .slice(0, most)
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '');
}

function freeName(name: string, taken: ReadonlySet<string>): string {
  for (let n = 2, free = name; ; n++) {
    if (!taken.has(free)) return free;
    const tail = `-${String(n)}`;
    free = name.slice(0, longest - tail.length) + tail;
  }
}
