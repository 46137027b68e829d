/** A worker whose user may have no more processes, until its parent lifts that: it tells how two servers of it are meanwhile. */
import { once } from 'node:events';
import { systemClock } from '../../core/runtime/clock.ts';
import { supervise, why } from './supervise.ts';

// Root is held to no such limit.
const user = Number(process.argv[2]);
if (process.getuid?.() === 0) {
  process.setgroups?.([]);
  process.setgid?.(user);
  process.setuid?.(user);
}
const nobody = new AbortController().signal;
let later = 0;
const clock = { ...systemClock, elapsed: () => systemClock.elapsed() + later };
// In a shell: who it runs as may not see this repository.
const script = `while read -r line; do
  id=\${line#*'"id":'}
  case $line in
    *'"initialize"'*) result='{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"sh","version":"1"}}' ;;
    *'"id":'*) result='{}' ;;
    *) continue ;;
  esac
  echo '{"jsonrpc":"2.0","id":'"\${id%%,*}"',"result":'"$result"'}'
done`;
const servers = supervise();
const [runs, waits] = ['runs', 'waits'].map((name) =>
  servers.open([], { name, command: '/bin/sh', args: ['-c', script] }, clock),
);
const answered = async (server = runs): Promise<string> =>
  await why(
    (async () =>
      await server?.call(await server.ready(nobody), { method: 'ping', params: {}, signal: nobody }))(),
  );
const tell = async (...what: unknown[]): Promise<void> => {
  process.send?.(what);
  await once(process, 'message');
};

await tell(await answered(runs));
await tell(await answered(waits), waits?.state, await answered(runs));
later = 60_000;
waits?.lookAfter();
await tell(await answered(waits), waits?.state, await answered(runs));
await servers.close();
process.disconnect();
