export interface Model<S> {
  initial: S;
  /** Equal for states that need not be told apart. */
  keyOf: (s: S) => string;
  copy: (s: S) => S;
  actionsOf: (s: S) => readonly { what: string; do: (s: S) => void }[];
  /** The promise that is broken here; null when none is. */
  check: (s: S) => string | null;
}

export interface Explored {
  states: number;
  ms: number;
  /** The promise that was broken, and the shortest way there. */
  broken: { promise: string; trace: string[] } | null;
}

/** Visits every state, nearest first, and stops at the first that breaks a promise. */
export function explore<S>(model: Model<S>): Explored {
  const began = performance.now();
  const seen = new Set<string>();
  const parents: number[] = [];
  const steps: string[] = [];
  const queue: (S | undefined)[] = [];
  const visit = (s: S, parent: number, what: string): string | null => {
    const key = model.keyOf(s);
    if (seen.has(key)) return null;
    seen.add(key);
    queue.push(s);
    parents.push(parent);
    steps.push(what);
    return model.check(s);
  };
  const report = (promise: string | null): Explored => ({
    states: seen.size,
    ms: performance.now() - began,
    broken: promise === null ? null : { promise, trace: traceTo(queue.length - 1) },
  });
  const traceTo = (last: number): string[] => {
    const trace: string[] = [];
    for (let at = last; at > 0; at = parents[at] ?? 0) trace.unshift(steps[at] ?? '');
    return trace;
  };

  visit(model.initial, 0, '');
  for (let at = 0; at < queue.length; at++) {
    const state = queue[at];
    if (state === undefined) continue;
    queue[at] = undefined; // its children hold all that is still needed
    for (const action of model.actionsOf(state)) {
      const next = model.copy(state);
      action.do(next);
      const promise = visit(next, at, action.what);
      if (promise !== null) return report(promise);
    }
  }
  return report(null);
}
