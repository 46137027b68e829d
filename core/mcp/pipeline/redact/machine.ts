import { lineEnds, patternOf, word, type Assertion, type Pattern, type Units } from './pattern.ts';

/** What is beside a place in a text, as far as assertions want to know; the ends of a text are as the ends of lines. */
type Side = 0 | 1 | 2;
const [OTHER, LINE_END, WORD] = [0, 1, 2] as const;

type Step =
  | { is: 'unit'; of: Units; to: number }
  | { is: 'fork'; to: readonly number[] }
  | { is: 'assertion'; of: Assertion; to: number };

/** What one pattern may come to, and all of a project together. */
const MOST_STEPS = 1_000;
/** Nothing, repeated a thousand times a thousand times, is no step. */
const MOST_COMPILED = 10_000;
/** More than any list of patterns that people write comes to. */
const MOST_STATES = 4_096;
/** How many units are looked at between two breaths. */
const STRIDE = 16_384;

/** What is looked for needs more than there is room for, in this text. @internal tests look for it */
export class TooComplex extends Error {}

interface State {
  /** Steps, in order. */
  steps: readonly number[];
  side: Side;
  /** The state after one more unit, by its class; -1: not known yet. */
  next: Int16Array;
}

/**
 * Looks for all of some patterns at once, and finds every character that is part of any match of any of them: not only of those
 * that a search from the left would stop at. Its time grows with the text alone, whatever the patterns are.
 */
export class Machine {
  readonly #steps: Step[] = [];
  readonly #before: number[][] = [];
  readonly #start: number;
  /** The class of each unit: two of one class are alike to every step. */
  readonly #classes: Uint16Array;
  readonly #units: number[] = [];
  readonly #sides: Side[] = [];
  /** How many texts are looked through: their states stay meanwhile. */
  #running = 0;
  #compiled = 0;
  #onward = new States();
  #backward = new States();
  /** Whether a unit is part of a match, by the states on both sides of it. */
  readonly #covered = new Map<number, boolean>();

  /** @throws SyntaxError a sentence: what is no pattern, or too many. */
  constructor(sources: readonly string[]) {
    const starts = sources.map((source) => this.#compile(patternOf(source), -1));
    this.#start = this.#add({ is: 'fork', to: starts });
    this.#steps.forEach(() => this.#before.push([]));
    for (const [n, step] of this.#steps.entries())
      if (step.is !== 'unit') for (const to of targetsOf(step)) if (to >= 0) this.#before[to]?.push(n);
    this.#classes = this.#classify();
  }

  /** @returns the runs of covered units, `[from, to)` each. @throws TooComplex, and what `breathe` throws. */
  async runs(text: string, breathe: () => Promise<void>): Promise<[number, number][]> {
    if (this.#running === 0 && (this.#onward.isLarge || this.#backward.isLarge)) this.#forget();
    this.#running += 1;
    try {
      return await this.#mark(text, await this.#lookBack(text, breathe), breathe);
    } finally {
      this.#running -= 1;
    }
  }

  async #lookBack(text: string, breathe: () => Promise<void>): Promise<Uint16Array> {
    const behind = new Uint16Array(text.length);
    let state = this.#backward.of([], LINE_END, this.#units.length);
    for (let at = text.length - 1; at >= 0; at -= 1) {
      if (at % STRIDE === 0) await breathe();
      state = this.#backwardFrom(state, this.#classes[text.charCodeAt(at)] ?? 0);
      behind[at] = state;
    }
    return behind;
  }

  async #mark(text: string, behind: Uint16Array, breathe: () => Promise<void>): Promise<[number, number][]> {
    const runs: [number, number][] = [];
    let state = this.#onward.of([this.#start], LINE_END, this.#units.length);
    for (let at = 0; at < text.length; at += 1) {
      if (at % STRIDE === 0) await breathe();
      const unit = this.#classes[text.charCodeAt(at)] ?? 0;
      if (this.#isCovered(state, behind[at] ?? 0, unit)) {
        const last = runs.at(-1);
        if (last?.[1] === at) last[1] = at + 1;
        else runs.push([at, at + 1]);
      }
      state = this.#onwardFrom(state, unit);
    }
    return runs;
  }

  #forget(): void {
    this.#onward = new States();
    this.#backward = new States();
    this.#covered.clear();
  }

  #add(step: Step): number {
    if (this.#steps.length >= MOST_STEPS) throw tooMuch();
    return this.#steps.push(step) - 1;
  }

  /** @param to what comes after it; -1: the match is whole. @returns where it begins. */
  #compile(pattern: Pattern, to: number): number {
    this.#compiled += 1;
    if (this.#compiled > MOST_COMPILED) throw tooMuch();
    switch (pattern.is) {
      case 'unit':
        return this.#add({ is: 'unit', of: pattern.of, to });
      case 'assertion':
        return this.#add({ is: 'assertion', of: pattern.of, to });
      case 'one':
        return this.#add({ is: 'fork', to: pattern.of.map((one) => this.#compile(one, to)) });
      case 'all':
        return pattern.of.reduceRight((after, one) => this.#compile(one, after), to);
      case 'times': {
        const { of, least, most } = pattern;
        let from = to;
        if (most === Infinity) {
          const targets = [to];
          from = this.#add({ is: 'fork', to: targets });
          targets.push(this.#compile(of, from));
        } else
          for (let n = least; n < most; n += 1)
            from = this.#add({ is: 'fork', to: [to, this.#compile(of, from)] });
        for (let n = 0; n < least; n += 1) from = this.#compile(of, from);
        return from;
      }
    }
  }

  #classify(): Uint16Array {
    const sets = this.#steps.flatMap((step) => (step.is === 'unit' ? [step.of] : []));
    const bounds = new Set([0]);
    for (const units of [...sets, word, lineEnds])
      for (const [from, to] of units) bounds.add(from).add(to + 1);
    const starts = [...bounds].filter((bound) => bound <= 0xff_ff).sort((a, b) => a - b);
    const classes = new Uint16Array(0x1_00_00);
    const byNature = new Map<string, number>();
    for (const [n, from] of starts.entries()) {
      const nature = [word, lineEnds, ...sets].map((units) => (has(units, from) ? '1' : '0')).join('');
      let number = byNature.get(nature);
      if (number === undefined) {
        number = byNature.size;
        byNature.set(nature, number);
        this.#units.push(from);
        this.#sides.push(has(word, from) ? WORD : has(lineEnds, from) ? LINE_END : OTHER);
      }
      classes.fill(number, from, starts[n + 1] ?? 0x1_00_00);
    }
    return classes;
  }

  #holds(assertion: Assertion, before: Side, after: Side): boolean {
    switch (assertion) {
      case 'line-begins':
        return before === LINE_END;
      case 'line-ends':
        return after === LINE_END;
      case 'word-edge':
        return (before === WORD) !== (after === WORD);
      case 'no-word-edge':
        return (before === WORD) === (after === WORD);
    }
  }

  /** Steps that are reached without a unit. */
  #reach(from: readonly number[], next: (step: number) => readonly number[]): Set<number> {
    const reached = new Set(from);
    for (const step of reached) for (const to of next(step)) if (to >= 0) reached.add(to);
    return reached;
  }

  /** Steps that take that unit, of those at which a match may be by now. */
  #taking({ steps, side }: State, unit: number): number[] {
    const after = this.#sides[unit] ?? OTHER;
    const reached = this.#reach(steps, (n) => {
      const step = this.#steps[n];
      if (!step || step.is === 'unit') return [];
      return step.is === 'fork' || this.#holds(step.of, side, after) ? targetsOf(step) : [];
    });
    return [...reached].filter((n) => this.#takes(n, unit));
  }

  #takes(n: number, unit: number): boolean {
    const step = this.#steps[n];
    return step?.is === 'unit' && has(step.of, this.#units[unit] ?? 0);
  }

  #onwardFrom(from: number, unit: number): number {
    const state = this.#onward.at(from);
    const after = state.next[unit] ?? -1;
    if (after >= 0) return after;
    const steps = new Set([this.#start]);
    for (const n of this.#taking(state, unit)) {
      const step = this.#steps[n];
      if (step?.is === 'unit' && step.to >= 0) steps.add(step.to);
    }
    const next = this.#onward.of([...steps], this.#sides[unit] ?? OTHER, this.#units.length);
    state.next[unit] = next;
    return next;
  }

  /** The state before a unit: which steps take it and come to the end of a match with what is after it. */
  #backwardFrom(from: number, unit: number): number {
    const state = this.#backward.at(from);
    const after = state.next[unit] ?? -1;
    if (after >= 0) return after;
    const before = this.#sides[unit] ?? OTHER;
    const holds = (n: number): boolean => {
      const step = this.#steps[n];
      return step !== undefined && (step.is !== 'assertion' || this.#holds(step.of, before, state.side));
    };
    // At the end of a match, and at what leads there without a unit.
    const ends = this.#steps.flatMap((step, n) =>
      step.is !== 'unit' && targetsOf(step).includes(-1) && holds(n) ? [n] : [],
    );
    const reached = this.#reach([...state.steps, ...ends], (n) => (this.#before[n] ?? []).filter(holds));
    const steps = this.#steps.flatMap((step, n) =>
      step.is === 'unit' && (step.to === -1 || reached.has(step.to)) && this.#takes(n, unit) ? [n] : [],
    );
    const next = this.#backward.of(steps, before, this.#units.length);
    state.next[unit] = next;
    return next;
  }

  #isCovered(onward: number, backward: number, unit: number): boolean {
    const { steps } = this.#backward.at(backward);
    if (steps.length === 0) return false;
    const key = (onward * MOST_STATES + backward) * 4 + (this.#sides[unit] ?? OTHER);
    let covered = this.#covered.get(key);
    if (covered === undefined) {
      const taking = new Set(this.#taking(this.#onward.at(onward), unit));
      covered = steps.some((step) => taking.has(step));
      if (this.#covered.size >= MOST_STATES) this.#covered.clear();
      this.#covered.set(key, covered);
    }
    return covered;
  }
}

const LARGE = 512;

const tooMuch = (): SyntaxError =>
  new SyntaxError('The patterns come to too much: repeat fewer times, or write fewer.');

/** Each set of steps once. */
class States {
  readonly #states: State[] = [];
  readonly #numbers = new Map<string, number>();

  get isLarge(): boolean {
    return this.#states.length > LARGE;
  }

  at(n: number): State {
    const state = this.#states[n];
    if (!state) throw new TooComplex();
    return state;
  }

  of(steps: readonly number[], side: Side, classes: number): number {
    const inOrder = [...steps].sort((a, b) => a - b);
    const key = `${String(side)}:${inOrder.join()}`;
    const again = this.#numbers.get(key);
    if (again !== undefined) return again;
    if (this.#states.length >= MOST_STATES) throw new TooComplex();
    const number = this.#states.push({ steps: inOrder, side, next: new Int16Array(classes).fill(-1) }) - 1;
    this.#numbers.set(key, number);
    return number;
  }
}

const targetsOf = (step: Step): readonly number[] => (typeof step.to === 'number' ? [step.to] : step.to);

function has(units: Units, unit: number): boolean {
  for (const [from, to] of units) if (unit >= from && unit <= to) return true;
  return false;
}
