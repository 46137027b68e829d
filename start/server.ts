import type { GuardSpec } from './guard/spec.ts';

/** A Redis or Postgres of our own: how to start it, as often as it takes, on the same port. */
export interface LocalServer {
  name: 'redis' | 'postgres';
  url: string;
  /** Its version, for people. */
  version: string;
  /** Clears away what an unclean stop left, then says what to run. */
  prepare(): Promise<GuardSpec>;
  /** Called with the process id of each start, so that a later one can find what was left running. */
  started(pid: number): void;
  /** Whether it takes connections now. */
  isReady(): Promise<boolean>;
}

/** Where a connection goes: to somebody's server, or to one that we run. */
export interface Found {
  url: string;
  server?: LocalServer;
}

/** Tells the person what happens, one sentence a call. */
export type Say = (sentence: string) => void;
