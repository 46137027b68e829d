import { expect } from 'chai';
import { readArguments } from '../../worker/arguments.ts';

describe('the command line of mcplocal', () => {
  it('knows its commands', () => {
    expect(readArguments(['run'])).to.equal('run');
    expect(readArguments(['version'])).to.equal('version');
    expect(readArguments(['--version'])).to.equal('version');
    expect(readArguments(['run', '--help'])).to.equal('help');
    expect(readArguments([])).to.equal('help');
  });

  it('names the nearest command, and refuses what it does not know', () => {
    expect(() => readArguments(['rum'])).to.throw(/Did you mean run\?/);
    expect(() => readArguments(['run', 'more'])).to.throw(/not a command/);
    expect(() => readArguments(['--publish'])).to.throw(/mcplocal help/);
  });
});
