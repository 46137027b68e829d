import { spawn, type ChildProcess } from 'node:child_process';
import { McpctlError } from '../../core/errors.ts';

/**
 * Ends the groups that it was told of once its input closes, which the kernel does when the worker is gone, SIGKILL included:
 * SIGTERM, and two seconds later SIGKILL. A shell and no node: it costs one megabyte and not forty.
 */
const SCRIPT = `
groups=' '
while read -r what group; do
  case $what in
    +) groups="$groups$group " ;;
    -) case $groups in *" $group "*) groups="\${groups%% $group *} \${groups#* $group }" ;; esac ;;
  esac
done
for group in $groups; do kill -s TERM -- "-$group" 2>/dev/null; done
[ "$groups" = ' ' ] || sleep 2
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
`;

/** Watches over the process groups of this worker's children from outside of it. One for all; begins with the first. */
export class GroupGuard {
  readonly #groups = new Set<number>();
  #guard: ChildProcess | undefined;

  /** Resolves once that group dies with this process, whatever ends it. @throws McpctlError `mcp_server_down`: nobody watches. */
  async watch(group: number): Promise<void> {
    this.#groups.add(group);
    // What is new is told with the others.
    await (this.#guard ? this.#tell(`+ ${String(group)}`) : this.#begin());
  }

  /** That group has ended; its number may become another's. */
  forget(group: number): void {
    if (!this.#groups.delete(group)) return;
    void this.#tell(`- ${String(group)}`).catch(() => undefined); // who is gone knows of no group
  }

  /** What is watched still ends now. */
  end(): void {
    const guard = this.#guard;
    this.#guard = undefined;
    guard?.stdin?.end();
  }

  async #begin(): Promise<void> {
    const guard = spawn('/bin/sh', ['-c', SCRIPT], {
      detached: true, // a signal to this worker's group is none to it
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { PATH: '/usr/bin:/bin' },
    });
    this.#guard = guard;
    (guard as ChildProcess).stdin?.on('error', () => undefined); // 'exit' follows
    const ended = (): void => {
      if (this.#guard !== guard) return;
      this.#guard = undefined;
      if (this.#groups.size > 0) setTimeout(() => this.#again(), 1_000).unref();
    };
    guard.once('error', ended);
    guard.once('exit', ended);
    guard.unref();
    await Promise.all([...this.#groups].map((group) => this.#tell(`+ ${String(group)}`)));
  }

  /** Somebody ended it: what runs is not left without one. */
  #again(): void {
    if (!this.#guard && this.#groups.size > 0) void this.#begin().catch(() => undefined); // 'exit' follows, and another try
  }

  /** Resolves when the kernel has the line: it is read though this process is killed now. */
  #tell(line: string): Promise<void> {
    const stdin = this.#guard?.stdin;
    const unwatched = (): McpctlError =>
      new McpctlError('mcp_server_down', 'nobody can be started who would end it with this worker');
    if (!stdin) return Promise.reject(unwatched());
    return new Promise((resolve, reject) => {
      stdin.write(`${line}\n`, (error) => (error ? reject(unwatched()) : resolve()));
    });
  }
}
