import { expect } from 'chai';
import { readArguments } from '../../worker/arguments.ts';

describe('the command line of mcplocal', () => {
  it('knows its commands', () => {
    const command = (...argv: string[]) => readArguments(argv).command;
    for (const word of ['run', 'status', 'pause', 'resume', 'drain', 'version', 'help'])
      expect(command(word)).to.equal(word);
    expect(command('--version')).to.equal('version');
    expect(command('run', '--help')).to.equal('help');
    expect(command()).to.equal('help');
  });

  it('answers in JSON when it is asked to, and in nothing else', () => {
    expect(readArguments(['status', '-o', 'json'])).to.include({ command: 'status', json: true });
    expect(readArguments(['status']).json).to.equal(false);
    expect(() => readArguments(['status', '-o', 'yaml'])).to.throw(/json/);
  });

  it('takes of each command what that has', () => {
    const asked = readArguments([
      'join',
      'https://h',
      '--code',
      'C',
      '--pool',
      'a',
      '--pool',
      'b',
      '--no-input',
    ]);
    expect(asked).to.deep.include({
      command: 'join',
      words: ['https://h'],
      code: 'C',
      pools: ['a', 'b'],
      input: false,
    });
    expect(() => readArguments(['status', '--code', 'C'])).to.throw(/status has no --code/);
    expect(() => readArguments(['join', 'a', 'b'])).to.throw(/'b' is too much/);
    expect(() => readArguments(['pause', '2h', '--until', '18:00'])).to.throw(/2h, or --until 18:00/);
  });

  it('names the nearest command, and refuses what it does not know', () => {
    expect(() => readArguments(['rum'])).to.throw(/Did you mean run\?/);
    expect(() => readArguments(['run', 'more'])).to.throw(/not a command/);
    expect(() => readArguments(['--publish'])).to.throw(/mcplocal help/);
  });
});
