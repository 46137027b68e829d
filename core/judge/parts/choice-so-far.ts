import { Brackets } from '../../text/bare-lines.ts';
import { textAt, type Brought, type Calls } from './choice.ts';
import { isJson } from './reason.ts';

/** One of the answers that a request asked for. */
export interface Choice {
  reason?: string;
  /** The reason is said by something else than its name. */
  isOdd?: boolean;
  /** Where its reason should be is none, and there is one at another place (`asideOf`). */
  aside?: string;
  /** It has brought something. */
  brought: boolean;
  /** Tool calls are among it, by whatever name. */
  calls?: Calls;
  /** Of those calls, by their number, whether their arguments are whole. */
  arguments?: Map<number, Brackets>;
  /** It has a reason, and nothing came after it. */
  ended: boolean;
}

/** Choices beyond these are passed on and not followed. */
export const MOST_CHOICES = 4_096;

export function broughtBy(choice: Choice | undefined): Brought {
  const calls = choice?.calls;
  return { calls, isCut: [...(choice?.arguments?.values() ?? [])].some(({ isOpen }) => isOpen) };
}

export function callsAreWhole({ calls, arguments: all }: Choice): boolean {
  return calls !== undefined && all !== undefined && [...all.values()].every(({ isWhole }) => isWhole);
}

export function followArguments(choice: Choice, calls: unknown): void {
  if (!Array.isArray(calls)) return;
  calls.forEach((call: unknown, at) => {
    const called = isJson(call) ? call['function'] : undefined;
    const json = textAt(called, 'arguments') ?? ''; // one that was only named is not whole
    const index = isJson(call) ? call['index'] : undefined;
    addArguments(choice, Number.isSafeInteger(index) ? Number(index) : at, json);
  });
}

export function addArguments(choice: Choice, index: number, json: string): void {
  const all = (choice.arguments ??= new Map());
  let brackets = all.get(index);
  if (!brackets && all.size < MOST_CHOICES) all.set(index, (brackets = new Brackets()));
  brackets?.add(json);
}
