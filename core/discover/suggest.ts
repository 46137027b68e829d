import { MOST_PUBLISHED } from '../member/protocol.ts';
import { modelSchema } from '../names.ts';
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
  /** What needs no entry: it has one. */
  isThere?: (url: string, model: string) => boolean;
  /** So many at most: all that a machine may publish, unless told. */
  most?: number;
}

/** Whether an llm may be registered with it: a backend calls its models as it likes. */
export const isSharable = (model: string): boolean => modelSchema.safeParse(model).success;

/**
 * Entries for what was found: named `<model>-<host>` in the pool `<model>`, so that a second teammate with the
 * same model joins it instead of colliding. Those in memory come first; what no llm may be called is left out.
 */
export function suggestProviders(
  backends: readonly FoundBackend[],
  host: string,
  { taken: before = [], others = false, isThere = () => false, most = MOST_PUBLISHED }: Suggesting = {},
): Suggested[] {
  const taken = new Set(before);
  const suggested: Suggested[] = [];
  for (const { type, url, models } of backends) {
    const seen = new Set<string>();
    for (const model of [...models].sort((a, b) => rankOf(b) - rankOf(a))) {
      if (suggested.length >= most) return suggested;
      const { id, chat } = model;
      if ((!chat && !others) || seen.has(id) || !isSharable(id) || isThere(url, id)) continue;
      seen.add(id);
      const poolName = asName(shortName(id), longest) || 'model';
      const name = freeName(`${asName(poolName, 40)}-${asName(shortHost(host), 22) || 'host'}`, taken);
      taken.add(name);
      suggested.push({ model, provider: { name, type, url, model: id, poolName, publish: true } });
    }
  }
  return suggested;
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
