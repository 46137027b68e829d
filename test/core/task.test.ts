import { expect } from 'chai';
import { isTerminal, taskStatuses, terminalStatuses, transitions } from '../../core/task/task.ts';

describe('the state machine of a task', () => {
  it('ends in exactly three states, and in each of them from every other', () => {
    expect(terminalStatuses).to.have.members(['completed', 'error', 'cancelled']);
    for (const status of taskStatuses.filter((s) => !isTerminal(s))) {
      expect(transitions[status], status).to.include.members(terminalStatuses);
    }
  });

  it('lets a task that nobody answers yet go back to pending, and no ended one anywhere', () => {
    expect(transitions.claimed).to.include('pending');
    expect(transitions.running).to.include('pending');
    for (const status of terminalStatuses) expect(transitions[status]).to.deep.equal([]);
  });

  it('never names a step to itself', () => {
    for (const status of taskStatuses) expect(transitions[status]).not.to.include(status);
  });
});
