import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { lanesOf as lanesOfSpent, sharedOut, type Lane, type Machine } from '../support/lanes.ts';

const GIB = 2 ** 30;
const machine = { cores: 2, memoryBytes: 16 * GIB };
const system = 'test/system/cancel.test.ts';
const wake = 'test/wake/edge.test.ts';
const names = 'test/core/names.test.ts';
const sse = 'test/core/sse.test.ts';

/** Of files that compute all the time. */
const lanesOf = (files: readonly string[], on: Machine, ms: Readonly<Record<string, number>>): Lane[] =>
  lanesOfSpent(
    files,
    on,
    Object.fromEntries(Object.entries(ms).map(([file, took]) => [file, { ms: took, cpuMs: took }])),
  );

describe('the lanes that test files run in', () => {
  it('tell who starts processes, through whatever they import, from who computes', () => {
    const lanes = lanesOf([names, system, sse, wake], machine, { [names]: 9_000, [sse]: 8_000 });
    expect(lanes.map(({ name, files }) => [name, files])).to.deep.equal([
      ['waiting', [system, wake]],
      ['computing', [names, sse]],
    ]);
  });
  it('begin with the longest', () => {
    const [waiting, computing] = lanesOf([names, system, sse, wake], machine, {
      ...{ [system]: 20_000, [wake]: 90_000, [sse]: 80_000, [names]: 30_000 },
    });
    expect(waiting?.files).to.deep.equal([wake, system]);
    expect(computing?.files).to.deep.equal([sse, names]);
  });
  it('end together: who has computed goes on with the shortest of the others', () => {
    const all = [names, system, sse, wake];
    const [waiting, computing] = lanesOf(all, machine, { [system]: 90_000, [wake]: 5_000, [names]: 8_000 });
    expect(waiting?.files).to.deep.equal([system]);
    expect(computing?.files).to.deep.equal([names, sse, wake]);
  });
  it('run a job a core of those that wait and half of that of the others, and no more than there is memory and Postgres for', () => {
    const jobs = (cores: number, memoryBytes: number): number[] =>
      lanesOf([names, system], { cores, memoryBytes }, { [names]: 9_000 }).map((lane) => lane.jobs);
    expect(jobs(2, 16 * GIB)).to.deep.equal([2, 1]);
    expect(jobs(3, 16 * GIB)).to.deep.equal([3, 2]);
    expect(jobs(16, 64 * GIB)).to.deep.equal([3, 3]);
    expect(jobs(16, 4 * GIB)).to.deep.equal([2, 1]);
    expect(jobs(2, GIB)).to.deep.equal([1, 1]);
    expect(jobs(1, 16 * GIB)).to.deep.equal([1, 1]);
  });
  it('let who nearly sleeps go beside the others, as many as end with them, the deepest sleepers', () => {
    const spent = {
      [system]: { ms: 60_000, cpuMs: 30_000 },
      [names]: { ms: 60_000, cpuMs: 60_000 },
      [wake]: { ms: 30_000, cpuMs: 1_000 },
      [sse]: { ms: 30_000, cpuMs: 6_000 },
    };
    const asleep = (times: typeof spent, on = machine): Lane | undefined =>
      lanesOfSpent([names, system, sse, wake], on, times).find(({ name }) => name === 'sleeping');
    const sleepersOf = (times: typeof spent, on = machine): string[] | undefined => asleep(times, on)?.files;
    const forOneMore = { cores: 2, memoryBytes: 5 * GIB };
    expect(sleepersOf(spent, forOneMore)).to.deep.equal([wake]);
    expect(sleepersOf({ ...spent, [sse]: { ms: 5_000, cpuMs: 1_000 } }, forOneMore)).to.deep.equal([
      wake,
      sse,
    ]);
    expect(sleepersOf({ ...spent, [wake]: { ms: 30_000, cpuMs: 20_000 } })).to.deep.equal([sse]);
    expect(asleep(spent), 'two at once')
      .to.include({ jobs: 2 })
      .and.to.have.deep.property('files', [wake, sse]);
    expect(sleepersOf({ ...spent, [sse]: { ms: 70_000, cpuMs: 14_000 } })).to.deep.equal([wake]);
    expect(sleepersOf(spent, { cores: 2, memoryBytes: 4 * GIB }), 'there is no memory for one more').to.equal(
      undefined,
    );
    const all = lanesOfSpent([names, system, sse, wake], machine, spent).flatMap(({ files }) => files);
    expect(all.sort()).to.deep.equal([names, sse, system, wake].sort());
  });
  it('leave a share to whoever ends first: files that are known and not long, in short batches', () => {
    const files = readdirSync('test', { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.test.ts'))
      .slice(0, 100)
      .map((path) => join('test', path));
    const spent = Object.fromEntries(
      files.slice(1).map((file, n) => [file, { ms: n < 40 ? 20_000 : 10_000, cpuMs: 10_000 }]),
    );
    const isShort = (file: string): boolean => spent[file]?.ms === 10_000;
    const { lanes, rest } = sharedOut(files, machine, spent);
    expect(rest.map((batch) => batch.length)).to.deep.equal([4, 4, 4, 1]); // 130 s of 1,390
    expect(rest.flat().every(isShort)).to.equal(true);
    const all = [...lanes.flatMap((lane) => lane.files), ...rest.flat()];
    expect(all.sort()).to.deep.equal([...files].sort());
  });
  it('have no lane without a file', () => {
    expect(lanesOf([names], machine, {}).map(({ name }) => name)).to.deep.equal(['computing']);
  });
});
