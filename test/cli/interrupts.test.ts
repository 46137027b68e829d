import { expect } from 'chai';
import { createInterrupts } from '../../cli/interrupts.ts';

describe('cli: Ctrl-C', () => {
  it('asks the command to stop, and at the second time to leave at once', () => {
    const interrupts = createInterrupts();
    expect(interrupts.fire()).to.equal('asked');
    expect(interrupts.signal.aborted).to.equal(true);
    expect(interrupts.fire()).to.equal('again');
  });

  it('goes to whoever took it last, until that lets go', () => {
    const interrupts = createInterrupts();
    const heard: string[] = [];
    const first = interrupts.take(() => heard.push('first'));
    const second = interrupts.take(() => heard.push('second'));
    expect(interrupts.fire()).to.equal('taken');
    second();
    interrupts.fire();
    first();
    first();
    expect(heard).to.deep.equal(['second', 'first']);
    expect(interrupts.signal.aborted).to.equal(false);
    expect(interrupts.fire()).to.equal('asked');
  });
});
