/** What a guard is told on its standard input, as one line of JSON, by start/keep/guarded.ts. */
export interface GuardSpec {
  command: string;
  args: readonly string[];
  /** What the program finds as its own name; Redis decides by it what it is. */
  argv0?: string;
  cwd?: string;
  env: Readonly<Record<string, string | undefined>>;
  /** The user to run as, when we are root. */
  uid?: number;
  gid?: number;
  /** Goes to the program's standard input, which is then closed: the place for what no `ps` may show. */
  input?: string;
  /** Asks the program to stop. */
  stopSignal: NodeJS.Signals;
  /** Asks once more, harder, before the group is killed; half the time of `stopMs` is left for it. */
  harderSignal?: NodeJS.Signals;
  /** After this much time its whole process group is killed. */
  stopMs: number;
}

/** What a guard tells on file descriptor 3, one line of JSON each. */
export type GuardFact = { pid: number } | { failed: string };
