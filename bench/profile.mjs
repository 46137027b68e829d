/**
 * Imported into each Node process of the product by `--profile`: writes a CPU profile as the process ends, named
 * by its program. (`--cpu-prof` is not allowed in NODE_OPTIONS.)
 */
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { basename, dirname, join } from 'node:path';

const program = basename(dirname(process.argv[1] ?? '')) || 'node';
const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.start');
process.once('exit', () => {
  session.post('Profiler.stop', (error, result) => {
    if (error) return;
    const path = join(process.env.BENCH_PROFILES, `${program}-${process.pid}.cpuprofile`);
    writeFileSync(path, JSON.stringify(result.profile));
  });
});
