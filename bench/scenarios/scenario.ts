import type { BenchBackend } from '../backend.ts';
import type { Product } from '../product.ts';
import type { Client, Endpoint } from '../client.ts';
import type { Summary } from '../stats.ts';

export interface Bench {
  backend: BenchBackend;
  client: Client;
  /** The backend called without anything in between: the baseline. */
  direct: Endpoint;
  product: Endpoint;
  /** What runs behind that endpoint, to start more beside it. */
  system: Product;
  /** Tiny sizes: to see that it runs, not to measure. */
  quick: boolean;
  progress(sentence: string): void;
}

export interface Row {
  what: string;
  summary: Summary;
  /** Of the summary; ms unless told. */
  unit?: 'MB';
}

export interface Result {
  rows: Row[];
  /** Figures that follow from the rows: milliseconds, or with a unit of their own. */
  derived: Record<string, number | { value: number; unit: string }>;
  /** Calls that went through the product; 0 where the scenario is about none. */
  calls: number;
}

/** One question that the bench answers. Baselines run in the same run, call by call in turn. */
export interface Scenario {
  name: string;
  /** What is measured, and what is and is not in it. */
  about: string;
  run(bench: Bench): Promise<Result>;
}
