import { MOST_DOCUMENTS } from '../../../core/declared/apply.ts';
import type { Placed } from '../../declared/placed.ts';

/** What others refer to first, as the server has it within one apply. */
const order = [
  ...[
    'user',
    'group',
    'rbac',
    'secret',
    'llm',
    'pool',
    'server',
    'project',
    'agent',
    'prompt',
    'personality',
  ],
];

/** So many at once as the server takes, in an order in which each batch can stand without those behind it. */
export function inBatches(placed: readonly Placed[]): Placed[][] {
  const turnOf = ({ fields }: Placed): number => {
    const turn = order.indexOf(String(fields['resource']));
    return turn < 0 ? order.length : turn;
  };
  const ordered = placed
    .map((one, at) => ({ one, at }))
    .sort((a, b) => turnOf(a.one) - turnOf(b.one) || a.at - b.at);
  const batches: Placed[][] = [];
  for (let at = 0; at < ordered.length; at += MOST_DOCUMENTS)
    batches.push(ordered.slice(at, at + MOST_DOCUMENTS).map(({ one }) => one));
  return batches;
}
