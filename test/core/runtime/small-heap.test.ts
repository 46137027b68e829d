import { execFileSync } from 'node:child_process';
import { expect } from 'chai';

/**
 * What a program comes to that keeps much of what it makes, has a function that runs often, and reads answers by undici's
 * parser: before it lets its heap grow, and after it.
 */
const program = `
import { createServer } from 'node:http';
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import { giveBackWhenIdle, keepHeapSmall, letHeapGrow } from './core/runtime/process/small-heap.ts';
const isSmall = process.argv[1] === 'small';
if (isSmall) keepHeapSmall();
const { Client } = await import('undici');
const room = () => getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size / 2 ** 20;
const make = () => Array.from({ length: 500_000 }, (_, n) => ({ n }));
const isOptimized = new Function('f', 'return (%GetOptimizationStatus(f) & 16) !== 0');
/** Until V8 has optimized it, which a thread of its own does, or \`rounds\` are over. */
async function optimized(f, rounds) {
  for (let n = 0; n < rounds && !isOptimized(f); n++) {
    for (let m = 0; m < 20_000; m++) f(m);
    await new Promise(setImmediate);
  }
  return isOptimized(f);
}
const server = createServer((_, answer) => answer.end('{}'));
await new Promise((listens) => server.listen(0, '127.0.0.1', listens));
const client = new Client('http://127.0.0.1:' + server.address().port);
/** MB that compiling took at most, after 500 answers, or as soon as it is what optimizing the parser takes. */
async function compiling() {
  const peak = () => getHeapStatistics().peak_malloced_memory / 2 ** 20;
  for (let n = 0; n < 500 && peak() < 20; n++) await (await client.request({ path: '/', method: 'GET' })).body.text();
  return peak();
}
let first = make();
const before = { room: room(), isOptimized: await optimized((n) => n * 2 + 1, 50), peak: await compiling() };
letHeapGrow();
let second = make();
const after = { room: room(), isOptimized: await optimized((n) => n * 3 + 1, 5_000), peak: await compiling() };
await client.close();
server.close();
const kept = first.length + second.length;
first = second = undefined;
const total = () => getHeapStatistics().total_heap_size / 2 ** 20;
/** MB that it gives back once nothing goes on, and has not given back while something does. */
async function givenBack() {
  const [from, until] = [total(), performance.now() + 5_000];
  const going = giveBackWhenIdle(200);
  const next = () => new Promise((later) => setTimeout(later, 10));
  for (let n = 0; n < 50; n++, going()) await next();
  const meanwhile = from - total();
  while (from - total() < 10 && performance.now() < until) await next();
  return { meanwhile, idle: from - total() };
}
console.log(JSON.stringify({ before, after, kept, given: isSmall ? await givenBack() : null }));
`;

interface Seen {
  /** MB for new objects. */
  room: number;
  isOptimized: boolean;
  /** MB that V8 took at most beside the heap, which is for compiling. */
  peak: number;
}

interface Run {
  before: Seen;
  after: Seen;
  /** MB. */
  given: { meanwhile: number; idle: number } | null;
}

function run(how: 'small' | 'usual'): Run {
  const argv = ['--allow-natives-syntax', '--import', 'tsx', '--input-type=module', '--eval', program, how];
  return JSON.parse(execFileSync(process.execPath, argv, { encoding: 'utf8' })) as Run;
}

describe('the heap of a process that starts', () => {
  it('stays small, with nothing optimized, and both are as usual once it is let grow; idle again, it gives back what it took', () => {
    const [small, usual] = [run('small'), run('usual')];
    expect(usual.before.room).to.be.at.least(16);
    expect(small.before.room).to.be.at.most(4);
    expect(small.after.room).to.be.at.least(16);
    expect([small.before.isOptimized, small.after.isOptimized]).to.deep.equal([false, true]);
    // What reads answers is never optimized: that takes most of what a process holds, and some of it stays.
    expect(usual.before.peak).to.be.at.least(20);
    expect(small.after.peak).to.be.at.most(15);
    expect(small.given?.meanwhile).to.be.below(10);
    expect(small.given?.idle).to.be.at.least(10);
  });
});
