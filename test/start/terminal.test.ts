import { expect } from 'chai';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLogs } from '../../core/runtime/files/kept-logs.ts';
import { pulseLine } from '../../start/say/pulse.ts';
import { createTerminal, type Screen } from '../../start/say/terminal.ts';

const CLEAR = '\r\u001b[2K';

describe('the terminal of npm start', () => {
  let written: string;
  let kept: string[];
  const open = (how: Partial<Screen> = {}) =>
    createTerminal({
      write: (text) => (written += text),
      isTTY: true,
      time: () => '12:00:00',
      keep: (name, line) => kept.push(`${name}: ${line}`),
      ...how,
    });
  beforeEach(() => {
    written = '';
    kept = [];
  });
  const log = (level: number, msg: string): string => JSON.stringify({ level, time: 1, msg });

  it('shows a person warnings, errors and what is no log line; the rest is kept', () => {
    const terminal = open();
    terminal.line('web', log(30, 'the edge listens'));
    terminal.line('web', log(40, 'Redis is away'));
    terminal.line('worker', log(50, 'no config'));
    terminal.line('worker', 'Error: it died');
    terminal.note('web runs as process 1.');
    expect(written).to.not.include('listens').and.not.include('process 1');
    expect(written).to.include('Redis is away').and.include('no config').and.include('Error: it died');
    expect(kept).to.have.length(5);
    expect(kept[0]).to.equal(`web: ${log(30, 'the edge listens')}`);
    expect(kept[4]).to.equal('start: web runs as process 1.');
  });

  for (const how of [{ verbose: true }, { isTTY: false }])
    it(`shows every line where ${JSON.stringify(how)}, and has no live line`, () => {
      const terminal = open(how);
      terminal.line('web', log(30, 'the edge listens'));
      terminal.note('web runs as process 1.');
      terminal.status('1 llm');
      expect(written).to.include('the edge listens').and.include('web runs as process 1.');
      expect(written).to.not.include('1 llm');
      expect(kept).to.have.length(2);
    });

  it('keeps one live line below what is said, cut to the width, and none inside an answer', () => {
    const terminal = open({ columns: () => 10 });
    terminal.status('1 llm · 2 running');
    expect(written).to.equal('1 llm · 2');
    terminal.say('Hello');
    terminal.status('1 llm · 2 waiting'); // as wide as the screen it is the same
    expect(written).to.equal(`1 llm · 2${CLEAR}Hello\n1 llm · 2`);
    written = '';
    terminal.stream('On');
    terminal.status('2 llms');
    terminal.line('web', log(50, 'late'));
    terminal.stream('ce\n');
    expect(written).to.equal(`${CLEAR}Once\n`);
    terminal.release();
    expect(written).to.include('late');
  });

  it('says what goes on, and at which pace', () => {
    const look = { llms: 3, running: 2, waiting: 1, tokens: 100, at: 1_000 };
    expect(pulseLine([look])).to.equal('3 llms · 2 running · 1 waiting · 0 tokens/s');
    const later = { ...look, llms: 1, tokens: 182, at: 3_000 };
    expect(pulseLine([look, later])).to.equal('1 llm · 2 running · 1 waiting · 41 tokens/s');
    expect(pulseLine([look, { ...later, tokens: 0 }])).to.include(' 0 tokens/s');
    expect(pulseLine([])).to.equal('The edge does not answer …');
  });
});

describe('the logs of npm start', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'mcpctl-logs-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  it('keep at most two files of a megabyte a process, the last lines in the first, for their owner alone', () => {
    const logs = openLogs({ complain: (sentence) => expect.fail(sentence) });
    logs.keep('web', 'before there is a folder');
    logs.into(join(folder, 'logs'));
    const line = 'x'.repeat(99_999);
    for (let n = 0; n < 35; n += 1) logs.keep('web', `${n}${line}`.slice(0, 99_999));
    logs.keep('worker', 'one');
    const files = readdirSync(join(folder, 'logs')).sort();
    expect(files).to.deep.equal(['web.1.log', 'web.log', 'worker.log']);
    for (const file of files) {
      const { size, mode } = statSync(join(folder, 'logs', file));
      expect(size).to.be.at.most(1024 * 1024);
      expect(mode & 0o777).to.equal(0o600);
    }
    expect(readFileSync(join(folder, 'logs/web.log'), 'utf8').split('\n').at(-2)?.slice(0, 3)).to.equal(
      '34x',
    );
  });

  it('go on without a disk that takes them, and say so once', () => {
    const complaints: string[] = [];
    const logs = openLogs({ complain: (sentence) => complaints.push(sentence) });
    logs.into(join(folder, 'logs'));
    rmSync(join(folder, 'logs'), { recursive: true });
    logs.keep('web', 'one');
    logs.keep('web', 'two');
    expect(complaints).to.have.length(1);
    expect(complaints[0]).to.match(/^What the processes print is not kept in .*logs any more: ENOENT/);
  });
});
