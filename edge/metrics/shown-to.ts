import { can, seesCallee, seesEveryPool, type Actor } from '../../core/access.ts';
import { aliasSchema } from '../../core/names.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { WorkerSeen } from './workers.ts';

/** Whether somebody who scrapes may be told of what is called so. */
type Sees = (label: 'llm' | 'pool', name: string) => Promise<boolean>;

/** What series are labelled with that is nobody's name. */
const nobodys: ReadonlySet<string> = new Set(['other', 'unknown']);

/** @returns null for who sees every llm and every pool: then nothing needs to be asked. */
export function nameFilter({ registry }: { registry: Pick<Registry, 'names'> }, actor: Actor): Sees | null {
  if (seesEveryPool(actor)) return null;
  const asked = new Map<string, Promise<boolean>>();
  const seesLlm = async (name: string): Promise<boolean> => {
    const to = aliasSchema.safeParse(name).success ? await registry.names.resolve(name) : undefined;
    if (!to) return false;
    const { poolKey, llm, agent, holderId } = to;
    if (agent !== null) return can(actor, 'view', { resource: 'agent', target: { ...agent, poolKey } });
    return seesCallee(actor, { poolKey, llm, holderId });
  };
  return (label, name) => {
    if (nobodys.has(name)) return Promise.resolve(true);
    if (label === 'pool') return Promise.resolve(seesCallee(actor, { poolKey: name, llm: null }));
    const answer = asked.get(name) ?? seesLlm(name);
    asked.set(name, answer);
    return answer;
  };
}

/** Names of llms and pools are the only labels that are somebody's; what escapes a text is in none of them. */
const LABEL = /[{,](llm|pool)="([^"]*)"/g;

/** A page of series without those that are of what somebody may not see. */
export async function shownSeries(page: string, sees: Sees | null): Promise<string> {
  if (sees === null) return page;
  const shown: string[] = [];
  for (const line of page.split('\n')) {
    let isShown = true;
    for (const [, label, name = ''] of line.startsWith('#') ? [] : line.matchAll(LABEL))
      isShown &&= await sees(label === 'llm' ? 'llm' : 'pool', name);
    if (isShown) shown.push(line);
  }
  return shown.join('\n');
}

/** Workers with those of their llms that somebody may see. */
export const shownWorkers = (workers: readonly WorkerSeen[], actor: Actor): readonly WorkerSeen[] =>
  seesEveryPool(actor)
    ? workers
    : workers.map((worker) => ({
        ...worker,
        llms: worker.llms.filter(({ name, pool }) => seesCallee(actor, { poolKey: pool, llm: name })),
      }));
