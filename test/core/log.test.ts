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

const secrets = `
  import { createLog } from './core/runtime/log.ts';
  const log = createLog({ process: 'test', level: 'info', pretty: false });
  const call = { password: 's3cret', id: 1 };
  log.info({ token: 's3cret', call, list: ['x'] }, 'line');
  if (call.password !== 's3cret') throw new TypeError('what was logged was changed');
  log.child({ apiKey: 's3cret', of: { id: 2 } }).info({ n: 3 }, 'line');
  log.error({ err: Object.assign(new Error('it failed'), { code: 'X', command: { args: ['s3cret'] }, token: 's3cret' }) }, 'line');
`;

/** As an error of ioredis is that nobody caught: it has the arguments of its command. */
const uncaught = (by: string): string => `
  import { createLog } from './core/runtime/log.ts';
  import { outliveRejections } from './core/runtime/process/last-resort.ts';
  const log = createLog({ process: 'test', level: 'info', pretty: false });
  outliveRejections(log, (code) => process.exit(code));
  const failed = Object.assign(new Error('it failed'), { code: 'X', command: { name: 'auth', args: ['s3cret'] }, cause: { headers: { authorization: 's3cret' } } });
  for (const reason of ['s3cret', { headers: 's3cret' }, failed]) void Promise.reject(reason);
  setTimeout(() => log.info('goes on'), 1);
  setTimeout(() => { throw ${by}; }, 50);
  setTimeout(() => log.info('goes on for ever'), 60_000);
`;

const foreign = `
  import { createLog } from './core/runtime/log.ts';
  const log = createLog({ process: 'test', level: 'info', pretty: false });
  log.info({ llm: 'a\\u009b2Jb\\u202ec\\u2028d\\u007f\\u001be' }, 'line');
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

  for (const by of ['failed', `'s3cret'`, `{ key: 's3cret' }`])
    it(`tell of what nobody caught, with nothing that hangs on it, and of the end that an exception is (${by})`, async () => {
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', uncaught(by)], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const texts: string[] = [];
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => void texts.push(text));
      const code = await new Promise<number | null>((resolve) => void child.on('close', resolve));
      const text = texts.join('');
      expect([code, text.match(/goes on"/g)?.length], text).to.deep.equal([1, 4]);
      expect(text)
        .to.include('"level":60')
        .and.include('this process ends')
        .and.match(/it failed/);
      expect(text).to.not.include('s3cret').and.not.include('for ever');
    });

  it('say nothing of a field that is named like a secret, a level down either, in a line or of a child', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', secrets], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines: string[] = [];
    for await (const text of createInterface({ input: child.stdout })) lines.push(text);
    expect(lines.length).to.equal(3);
    expect(lines.join()).to.not.include('s3cret');
    const [line = '', ofChild = '', failed = ''] = lines;
    const shown = { token: '[redacted]', call: { password: '[redacted]', id: 1 }, list: ['x'], msg: 'line' };
    expect(JSON.parse(line)).to.deep.include(shown);
    expect(JSON.parse(ofChild)).to.deep.include({ apiKey: '[redacted]', of: { id: 2 }, n: 3 });
    expect((JSON.parse(failed) as { err: unknown }).err).to.include({ message: 'it failed', code: 'X' });
  });

  it('hold nothing that a terminal would act on, and lose nothing of it', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', foreign], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    for await (const piece of child.stdout.setEncoding('utf8')) text += String(piece);
    expect(text.trimEnd()).to.match(/^[\u0020-\u007e]*$/);
    expect(JSON.parse(text)).to.include({ llm: 'a\u009b2Jb\u202ec\u2028d\u007f\u001be' });
  });
});
