import { expect } from 'chai';
import { lanesOf } from '../support/lanes.ts';

const GIB = 2 ** 30;
const machine = { cores: 2, memoryBytes: 16 * GIB };
const system = 'test/system/cancel.test.ts';
const wake = 'test/wake/edge.test.ts';
const names = 'test/core/names.test.ts';
const sse = 'test/core/sse.test.ts';

describe('the lanes that test files run in', () => {
  it('tell who starts processes, through whatever they import, from who computes', () => {
    const lanes = lanesOf([names, system, sse, wake], machine, {});
    expect(lanes.map(({ name, files }) => [name, files])).to.deep.equal([
      ['waiting', [system, wake]],
      ['computing', [names, sse]],
    ]);
  });
  it('begin with the longest', () => {
    const [waiting, computing] = lanesOf([names, system, sse, wake], machine, {
      [wake]: 9_000,
      [sse]: 3_000,
    });
    expect(waiting?.files).to.deep.equal([wake, system]);
    expect(computing?.files).to.deep.equal([sse, names]);
  });
  it('run one job a core that computes, twice as many that wait, and no more than there is memory for', () => {
    const jobs = (memoryBytes: number): number[] =>
      lanesOf([names, system], { cores: 2, memoryBytes }, {}).map((lane) => lane.jobs);
    expect(jobs(16 * GIB)).to.deep.equal([4, 2]);
    expect(jobs(4 * GIB)).to.deep.equal([3, 2]);
    expect(jobs(GIB)).to.deep.equal([1, 1]);
  });
  it('have no lane without a file', () => {
    expect(lanesOf([names], machine, {}).map(({ name }) => name)).to.deep.equal(['computing']);
  });
});
