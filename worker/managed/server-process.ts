import type { ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import { messageOf } from '../../core/errors.ts';
import { stopGroup } from '../../core/runtime/process/stop-group.ts';
import { withoutSecrets, withTheirLines, type ChildEnvironment } from '../children/environment.ts';
import { notStarted, spawnGated } from '../children/gated.ts';
import type { GroupGuard } from '../children/guard.ts';
import { Printed } from '../children/printed.ts';

/** Between SIGTERM and SIGKILL: a server that stops in order lets go of its GPU, and one that hears nothing does not stop us. */
const TERM_MS = 5_000;
/** What it printed last may arrive a moment after its end. */
const LAST_WORDS_MS = 100;

interface ServerProcessOptions {
  command: string;
  args: readonly string[];
  cwd: string;
  environment: ChildEnvironment;
  guard: GroupGuard;
  /** Takes each line that it prints. */
  keep: (line: string) => void;
}

/** One running backend, in a process group of its own, which the guard knows before any of it runs: it ends with this worker, killed too. */
export class ServerProcess {
  /** How it ended, as words that go on from "it", with the last line that it printed. */
  readonly ended: Promise<string>;
  readonly #process: ChildProcess;
  readonly #guard: GroupGuard;
  readonly #printed: Printed;
  #hasEnded = false;
  #stopping: Promise<void> | undefined;

  /** @throws McpctlError `mcp_server_down` where there is no such program. */
  constructor({ command, args, cwd, environment: { env, secrets }, guard, keep }: ServerProcessOptions) {
    this.#guard = guard;
    const { child, release } = spawnGated({ command, args, cwd, env });
    this.#process = child;
    child.stdin.on('error', () => undefined).end();
    let unwatched: string | undefined;
    if (child.pid !== undefined)
      guard.watch(child.pid).then(release, (thrown: unknown) => {
        unwatched = `was not run: ${messageOf(thrown)}`;
        void this.stop();
      });
    const hidden = withTheirLines(secrets);
    const blank = (text: string): string => withoutSecrets(text, hidden);
    this.#printed = new Printed([child.stderr, child.stdout], { keep, blank });
    for (const stream of [child.stdout, child.stderr]) if (stream instanceof Socket) stream.unref();
    const how = new Promise<string>((resolve) => {
      child.once('error', (thrown: NodeJS.ErrnoException) => resolve(notStarted(thrown.code ?? 'unknown')));
      child.once('exit', (code, signal) => {
        const words = signal === null ? `ended with code ${String(code)}` : `was ended by ${signal}`;
        resolve(unwatched ?? words);
      });
    });
    this.ended = how.then((words) => this.#end(words));
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Fit to be shown; empty where it has printed nothing. */
  get lastLine(): string {
    return this.#printed.lastLine;
  }

  /** SIGTERM to its group, later SIGKILL; resolves when nobody of it is left. Twice is once. */
  stop(): Promise<void> {
    return (this.#stopping ??= this.#stop());
  }

  async #stop(): Promise<void> {
    const { pid } = this.#process;
    if (pid === undefined) return;
    await stopGroup(pid, { closeMs: 0, termMs: TERM_MS });
    this.#guard.forget(pid);
  }

  /** What it started and left behind goes too: the next one needs its port and its memory. */
  async #end(words: string): Promise<string> {
    this.#hasEnded = true;
    void this.stop();
    await new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MS));
    return this.lastLine === '' ? words : `${words}: ${this.lastLine}`;
  }
}

/** A task under which it ended so often is not tried again at it as if nothing had been. */
const DEADLY = 3;
const MOST_REMEMBERED = 1_000;

/** Tasks under which a server ended, by how often. */
export class DeadlyTasks {
  readonly #times = new Map<string, number>();

  /** It has ended under that one again. @returns whether this is the task's doing by now. */
  isOneOf(taskId: string): boolean {
    const times = (this.#times.get(taskId) ?? 0) + 1;
    this.#times.delete(taskId);
    this.#times.set(taskId, times);
    const [oldest] = this.#times.keys();
    if (this.#times.size > MOST_REMEMBERED && oldest !== undefined) this.#times.delete(oldest);
    return times >= DEADLY;
  }
}
