import { hash } from 'node:crypto';

/**
 * An attempt at a task: a claim of an epoch. The epoch alone does not name it: a Redis that went back in time (a tail that
 * was not on disk yet, a replica that was behind) gives the same epoch to another claim.
 */
export interface Attempt {
  epoch: number;
  /** Stands for the claim where callers and other members see it; '' or missing = not said, as an earlier release writes it. */
  tag?: string | undefined;
}

const DIGITS = 10;
let last = { claim: '', tag: '' };

/** What entries, messages and positions know a claim by; the claim itself lets one speak for the task. As in emit.lua. */
export function tagOf(claim: string): string {
  if (claim === '') return '';
  if (claim !== last.claim) {
    const tag = hash('sha1', claim).slice(0, DIGITS);
    last = { claim, tag };
  }
  return last.tag;
}

/** Where one of them does not say its claim, the epoch decides. */
export function isSameAttempt(a: Attempt, b: Attempt): boolean {
  return a.epoch === b.epoch && !(a.tag && b.tag && a.tag !== b.tag);
}
