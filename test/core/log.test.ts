import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { expect } from 'chai';

/** Logs a hundred lines over some turns, waits to be told to end, logs one more and ends at once. */
const script = `
  import { createLog } from './core/runtime/log.ts';
  const log = createLog({ process: 'test', level: 'info', pretty: false });
  let n = 0;
  const timer = setInterval(() => {
    log.info({ n }, 'line');
    if (++n < 100) return;
    clearInterval(timer);
    process.stdin.once('data', () => { log.info({ n: -1 }, 'last'); process.exit(0); });
  }, 1);
`;

describe('the lines of a log', function () {
  this.timeout(30_000);

  it('all come out in order: soon while the process lives, at once when it ends', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const seen: unknown[] = [];
    for await (const text of createInterface({ input: child.stdout })) {
      seen.push((JSON.parse(text) as { n: unknown }).n);
      if (seen.length === 100) child.stdin.end('over\n');
    }
    expect(seen).to.deep.equal([...Array(100).keys(), -1]);
  });
});
