import type { BenchBackend } from '../backend/backend.ts';
import type { Client } from '../load/client.ts';
import type { Endpoint } from '../report/endpoint.ts';
import type { Load } from '../load/load.ts';
import type { Product } from '../product/product.ts';
import type { Spread, Summary } from '../report/stats.ts';

export interface Bench {
  backend: BenchBackend;
  client: Client;
  /** The client that is a process of its own. */
  load: Load;
  /** All ways to the backend: itself first, mcpctl last, between them the other gateways that are there. */
  endpoints: readonly Endpoint[];
  /** The backend called without anything in between: the baseline. */
  direct: Endpoint;
  product: Endpoint;
  /** What runs behind that endpoint, to start more beside it. */
  system: Product;
  /** Starts one more of them, with stores and a home of its own; it is stopped at the end of the run. */
  startAnother: () => Promise<Product>;
  /** Ended rows that are laid into the product of the scenarios about rest. */
  ended: number;
  /** Tiny sizes: to see that it runs, not to measure. */
  quick: boolean;
  progress: (sentence: string) => void;
  /** A worker was killed while it ran so many tasks: their crashes are no false deaths. */
  killed: (tasks: number) => void;
}

export interface Row {
  what: string;
  summary: Summary;
  /** Of the summary; ms unless told. */
  unit?: string;
}

/** Two figures compared round by round: a ratio, or with a unit a difference. */
export interface Comparison extends Spread {
  what: string;
  unit?: string;
}

export interface Result {
  rows: Row[];
  comparisons?: Comparison[];
  /** Figures that follow from the rows: milliseconds, or with a unit of their own. */
  derived: Record<string, number | { value: number; unit: string }>;
  /** Calls that went through the product; 0 where the scenario is about none. */
  calls: number;
  /** CPU milliseconds per call, by endpoint and process, where each endpoint had its own time. */
  cpu?: Record<string, Record<string, number>>;
  /** What failed, by endpoint. */
  faults?: Record<string, { lost: number; why: string[] }>;
}

/** One question that the bench answers. Baselines run in the same run, in turn. */
export interface Scenario {
  name: string;
  /** What is measured, and what is and is not in it. */
  about: string;
  /** Whether it calls the other gateways. */
  baselines?: true;
  run(bench: Bench): Promise<Result>;
}
