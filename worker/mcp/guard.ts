import { spawn, type ChildProcess } from 'node:child_process';

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

  /** From now on that group dies with this process. */
  watch(group: number): void {
    this.#groups.add(group);
    if (this.#guard) this.#tell(`+ ${String(group)}`);
    else this.#begin();
  }

  /** That group has ended; its number may become another's. */
  forget(group: number): void {
    if (!this.#groups.delete(group)) return;
    this.#tell(`- ${String(group)}`);
  }

  /** What is watched still ends now. */
  end(): void {
    const guard = this.#guard;
    this.#guard = undefined;
    guard?.stdin?.end();
  }

  #begin(): void {
    const guard = spawn('/bin/sh', ['-c', SCRIPT], {
      detached: true, // a signal to this worker's group is none to it
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { PATH: '/usr/bin:/bin' },
    });
    this.#guard = guard;
    guard.stdin.on('error', () => undefined); // 'exit' follows
    const ended = (): void => {
      if (this.#guard !== guard) return;
      this.#guard = undefined;
      if (this.#groups.size > 0) setTimeout(() => this.#again(), 1_000).unref();
    };
    guard.once('error', ended);
    guard.once('exit', ended);
    guard.unref();
    for (const group of this.#groups) this.#tell(`+ ${String(group)}`);
  }

  /** Somebody ended it: what runs is not left without one. */
  #again(): void {
    if (!this.#guard && this.#groups.size > 0) this.#begin();
  }

  #tell(line: string): void {
    this.#guard?.stdin?.write(`${line}\n`);
  }
}
