import { execFileSync } from 'node:child_process';
import { expect } from 'chai';

/** MB of the room for new objects after each half of a program that keeps much of what it makes. */
const program = `
import { getHeapSpaceStatistics } from 'node:v8';
import { keepHeapSmall, letHeapGrow } from './core/runtime/process/small-heap.ts';
const room = () => getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size / 2 ** 20;
const make = () => Array.from({ length: 500_000 }, (_, n) => ({ n }));
if (process.argv[1] === 'small') keepHeapSmall();
const first = make();
const started = room();
letHeapGrow();
const second = make();
console.log(JSON.stringify({ started, grown: room(), kept: first.length + second.length }));
`;

function roomOf(how: 'small' | 'usual'): { started: number; grown: number } {
  const argv = ['--import', 'tsx', '--input-type=module', '--eval', program, how];
  return JSON.parse(execFileSync(process.execPath, argv, { encoding: 'utf8' })) as {
    started: number;
    grown: number;
  };
}

describe('the heap of a process that starts', () => {
  it('keeps the room for new objects as it begins with, and grows as usual once it is let', () => {
    const small = roomOf('small');
    expect(roomOf('usual').started).to.be.at.least(16);
    expect(small.started).to.be.at.most(4);
    expect(small.grown).to.be.at.least(16);
  });
});
