/** A process of its own: what an attack costs its sender is not to be felt by who measures. Told by its parent what to do. */
import { attacks, type Done, type Target } from './attacks.ts';

export interface Order extends Omit<Target, 'over'> {
  attack: string;
  /** How long its connections stay. */
  forMs: number;
}

process.once('message', (order: Order) => {
  const { attack, forMs, ...target } = order;
  const over = new AbortController();
  setTimeout(() => over.abort(), forMs); // keeps the process, which has nothing else when it was cut off
  void attacks[attack]
    ?.run({ ...target, over: over.signal })
    .then((done: Done) => process.send?.(done, () => process.disconnect()));
});
process.send?.('ready');
