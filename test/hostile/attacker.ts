/** A process of its own: what an attack costs its sender is not to be felt by who measures. Told by its parent what to do. */
import { messageOf } from '../../core/errors.ts';
import type { Done, Target } from './attack.ts';
import { attacks } from './attacks.ts';

export interface Order extends Omit<Target, 'over'> {
  attack: string;
  /** How long its connections stay. */
  forMs: number;
}

/** What it says: that it has made what it will send, then what it has done. */
export type Told = { ready: true } | { done: Done } | { failed: string };

const say = (message: Told): void => void process.send?.(message);

let strike: ((over: AbortSignal) => Promise<Done>) | undefined;
let forMs = 0;

process.on('message', (order: Order | 'strike') => {
  if (order !== 'strike') {
    const { attack, forMs: wanted, ...target } = order;
    strike = attacks[attack]?.prepare(target);
    forMs = wanted;
    return say({ ready: true });
  }
  const over = new AbortController();
  setTimeout(() => over.abort(), forMs);
  void strike?.(over.signal).then(
    (done) => say({ done }),
    (thrown: unknown) => say({ failed: messageOf(thrown) }),
  );
});
process.on('disconnect', () => process.exit(0));
