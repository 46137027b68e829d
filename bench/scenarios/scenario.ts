import type { BenchBackend } from '../backend.ts';
import type { Client, Endpoint } from '../client.ts';
import type { Summary } from '../stats.ts';

export interface Bench {
  backend: BenchBackend;
  client: Client;
  /** The backend called without anything in between: the baseline. */
  direct: Endpoint;
  product: Endpoint;
  /** Tiny sizes: to see that it runs, not to measure. */
  quick: boolean;
  progress(sentence: string): void;
}

export interface Row {
  what: string;
  summary: Summary;
}

export interface Result {
  rows: Row[];
  /** Figures that follow from the rows, milliseconds. */
  derived: Record<string, number>;
  /** Calls that went through the product. */
  calls: number;
}

/** One question that the bench answers. Baselines run in the same run, call by call in turn. */
export interface Scenario {
  name: string;
  /** What is measured, and what is and is not in it. */
  about: string;
  run(bench: Bench): Promise<Result>;
}
