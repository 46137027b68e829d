import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { McpctlError } from '../../../core/errors.ts';
import type { Exchange } from '../../../core/mcp/traffic/exchange.ts';
import { createLog } from '../../../core/runtime/log.ts';
import { createCapture, spansOf } from '../../../edge/mcp/traffic/capture.ts';
import { queueFixture } from '../../queue/queue-fixture.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const exchange: Exchange = {
  ...{ at: '2026-11-30T00:00:00.000Z', user: 'ada', token: 'laptop', client: null, era: 'legacy' },
  ...{ method: 'tools/call', name: 'desk__echo', server: 'desk', tool: 'echo', taskId: null },
  ...{ replayed: false, outcome: 'ok', status: 200, bytes: { request: 1, answer: 1 } },
  ms: { total: 1, queue: null, start: null, run: null, pipeline: null },
  ...{ stages: [], gate: [] },
};

/** An edge that hears of watched projects as a test says, and a Redis that answers when it says. */
function edge() {
  let elapsed = 0;
  let hear: (projectId: string) => void = () => undefined;
  const writes: { projectId: string; texts: readonly string[]; dropped: number }[] = [];
  const answers: ((answer: boolean | McpctlError) => void)[] = [];
  const wakes = new Set<() => void>();
  const clock = { elapsed: () => elapsed, now: () => 0, random: () => 0 };
  const traffic = {
    listen: (to: typeof hear) => {
      hear = to;
      return Promise.resolve(() => undefined);
    },
    capture: (projectId: string, texts: readonly string[], dropped: number) =>
      new Promise<boolean>((resolve, reject) => {
        writes.push({ projectId, texts, dropped });
        answers.push((answer) => (typeof answer === 'boolean' ? resolve(answer) : reject(answer)));
        wakes.forEach((wake) => wake());
      }),
  };
  const fences = { read: () => Promise.resolve([]) };
  const capture = createCapture({ queue: { traffic, fences }, clock, log });
  let asked = 0;
  return {
    capture,
    writes,
    asked: () => asked,
    hear: (projectId: string) => hear(projectId),
    passes: (ms: number) => (elapsed += ms),
    answer: (n: number, answer: boolean | McpctlError) => answers[n]?.(answer),
    written: (n: number) =>
      new Promise<void>((resolve) => {
        const look = (): void => {
          if (writes.length < n) return;
          wakes.delete(look);
          resolve();
        };
        wakes.add(look);
        look();
      }),
    tell(projectId: string, times = 1, name = 'desk__echo'): void {
      for (let n = 0; n < times; n += 1)
        capture.tell({
          ...{ projectId, userId: 'u', row: null },
          exchange: () => {
            asked += 1;
            return { ...exchange, name };
          },
        });
    },
  };
}

describe('an edge that is asked of projects which somebody watches', () => {
  it('does nothing for one that nobody watches, nor for one of which nobody has said so for ten seconds', async () => {
    const at = edge();
    await at.capture.start?.();
    const [project, another] = [randomUUID(), randomUUID()];
    at.tell(project);
    at.hear(project);
    at.hear('no project at all');
    at.tell(another);
    at.passes(10_001);
    at.tell(project);
    expect([at.asked(), at.writes]).to.deep.equal([0, []]);
    at.hear(project);
    at.tell(project);
    await at.written(1);
    expect(at.writes[0]).to.deep.include({ projectId: project, dropped: 0 });
    // Nobody watches by now, as Redis says.
    at.answer(0, false);
    await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    at.tell(project);
    expect(at.asked()).to.equal(1);
    await at.capture.stop?.();
  });

  it('holds no more than there is room for while Redis is slow or away, and says how many there were', async () => {
    const at = edge();
    await at.capture.start?.();
    const project = randomUUID();
    at.hear(project);
    at.tell(project);
    await at.written(1);
    at.tell(project, 1_000);
    expect(at.asked(), 'those that there is room for').to.equal(1 + 128);
    at.answer(0, new McpctlError('unavailable'));
    await at.written(2);
    expect([at.writes[1]?.texts.length, at.writes[1]?.dropped]).to.deep.equal([64, 1 + 872]);
    at.answer(1, true);
    await at.written(3);
    expect([at.writes[2]?.texts.length, at.writes[2]?.dropped]).to.deep.equal([64, 0]);
    at.answer(2, true);
    at.tell(project, 1, 'é'.repeat(5_000));
    await at.written(4);
    const [text = ''] = at.writes[3]?.texts ?? [];
    expect([Buffer.byteLength(text) < 1_024, at.writes[3]?.dropped], 'a long one').to.deep.equal([true, 0]);
    at.answer(3, true);
    await at.capture.stop?.();
  });

  it('knows of 64 projects at most', async () => {
    const at = edge();
    await at.capture.start?.();
    const projects = Array.from({ length: 65 }, () => randomUUID());
    projects.forEach((project) => at.hear(project));
    projects.forEach((project) => at.tell(project));
    expect(at.asked()).to.equal(64);
    await at.capture.stop?.();
  });
});

describe('what is captured, where Redis went back in time', () => {
  it('is read on from what is left, and told to miss something', async () => {
    const t = await queueFixture();
    const { traffic, keys } = t.door;
    const projectId = randomUUID();
    const shown = { user: 'ada', since: exchange.at, bodies: false, all: true };
    await traffic.watch({ id: 'w', projectId, userId: 'u', shown });
    await traffic.capture(projectId, ['one'], 0);
    const { last } = await traffic.read(projectId, null);
    await traffic.capture(projectId, ['two', 'three'], 0);
    const read = await traffic.read(projectId, last);
    expect(read.entries).to.have.length(2);
    const { stream } = keys.traffic(projectId);
    await t.redis.xdel(stream, ...read.entries.map(({ id }) => id));
    await t.redis.call('XSETID', stream, last);
    expect(await traffic.read(projectId, read.last)).to.deep.equal({ entries: [], last, missed: null });
    await traffic.capture(projectId, ['four'], 0);
    const { entries, missed } = await traffic.read(projectId, last);
    expect([entries.map(({ text }) => text), missed]).to.deep.equal([['four'], 0]);
    await t.close();
  });
});

describe('the times of an exchange', () => {
  const at = (ms: number): Date => new Date(1_000_000 + ms);
  it('are parts of what its task took, and none that is less than nothing', () => {
    const row = { createdAt: at(0), claimedAt: at(10), completedAt: at(60) };
    expect(spansOf(row, { deliveredAt: at(25).getTime() })).to.deep.equal({ queue: 10, start: 15, run: 35 });
    expect(spansOf(row, null)).to.deep.equal({ queue: 10, start: null, run: 50 });
    expect(spansOf({ ...row, claimedAt: null }, null)).to.deep.equal({ queue: 60, start: null, run: null });
    expect(spansOf({ ...row, claimedAt: at(-5) }, { deliveredAt: at(-9).getTime() })).to.deep.equal({
      ...{ queue: 0, start: 0, run: 69 },
    });
  });
});
