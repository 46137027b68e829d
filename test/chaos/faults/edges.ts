import { pause } from '../../../core/runtime/clock.ts';
import type { Placed } from '../caller.ts';
import type { Fault, Trial } from '../trial.ts';
import { exists } from '../processes.ts';
import { memoryOf, seconds, until } from './fault.ts';

/** They last for as long as it takes to open them all, several times over. */
const slow = ({ many }: Trial) => ({ pool: 'wide', pieces: Math.ceil(0.3 * many), gapMs: 500 });

/** Some of the callers ask the other edge for the rest of their answer. */
async function resumed(trial: Trial, streams: readonly Placed[], edge: string): Promise<string> {
  const asked = streams.filter((each) => each.taskId() !== null).slice(0, 20);
  const results = await Promise.all(asked.map((each) => trial.world.callers.resume(each, edge)));
  const whole = results.filter(({ completed }) => completed).length;
  return `${String(whole)} of ${String(asked.length)} that asked ${edge} for the rest had it to the end`;
}

export const edgeKilled: Fault = {
  name: 'edge SIGKILL with 200 open streams',
  spanMs: 30_000,
  async strike(trial) {
    const { world } = trial;
    const [edge, other] = world.edges;
    // They keep their tasks: what becomes of an answer whose edge has gone is theirs to say.
    const headers = { 'x-mcpctl-on-disconnect': 'continue' };
    const streams = await trial.openStreams(trial.many, { ...slow(trial), edge: edge.name, headers });
    const { pid } = edge.process;
    const at = performance.now();
    world.journal.world({ what: 'edge-down', edge: edge.name });
    await edge.process.end('SIGKILL');
    const healing = trial.heal(at, { pool: 'wide', edge: other.name });
    await Promise.all(streams.map(({ done }) => done));
    const notes = [await resumed(trial, streams, other.name)];
    const back = performance.now();
    await world.restart(edge);
    notes.push(`${edge.name} served again ${seconds(performance.now() - back)} after its start`);
    return {
      ...{ happened: !exists(pid) && streams.length >= trial.many * 0.9, healing, notes },
      proof: `${edge.name} (pid ${String(pid)}) is gone; ${String(streams.length)} streams were open at it`,
    };
  },
};

export const edgeRolled: Fault = {
  name: 'edge rolled with SIGTERM under load',
  spanMs: 40_000,
  async strike(trial) {
    const { world } = trial;
    const [edge, other] = world.edges;
    const streams = await trial.openStreams(20, { pool: 'wide', pieces: 20, gapMs: 200, edge: edge.name });
    const { pid } = edge.process;
    const at = performance.now();
    world.journal.world({ what: 'edge-down', edge: edge.name });
    const ending = edge.process.end('SIGTERM');
    const healing = trial.heal(at, { pool: 'wide', edge: other.name });
    await ending;
    const tookMs = performance.now() - at;
    const ends = await Promise.all(streams.map(({ done }) => done));
    const whole = ends.filter(({ completed }) => completed).length;
    await world.restart(edge);
    return {
      ...{ happened: !exists(pid), healing },
      proof: `${edge.name} (pid ${String(pid)}) left ${seconds(tookMs)} after SIGTERM, with ${String(streams.length)} streams open`,
      notes: [`${String(whole)} of them were answered to the end`],
    };
  },
};

export const callersVanish: Fault = {
  name: '200 callers vanish',
  sparesTools: true,
  spanMs: 20_000,
  async strike(trial) {
    const { world } = trial;
    const streams = await trial.openStreams(trial.many, slow(trial));
    const ids = streams.flatMap((each) => each.taskId() ?? []);
    const openBefore = world.workers.reduce((sum, { backend }) => sum + backend.open(), 0);
    const at = performance.now();
    streams.forEach((each) => each.leave());
    const healing = trial.heal(at, { pool: 'wide' });
    const canaries = streams.map((each) => each.canary);
    const open = (): number =>
      world.workers.reduce(
        (sum, { backend }) => sum + backend.openCanaries().filter((c) => canaries.includes(c)).length,
        0,
      );
    const closed = await until(() => open() === 0, trial.within(10_000));
    const tookMs = performance.now() - at;
    const cancelled = await until(
      async () => (await world.rows.statuses(ids)).cancelled === ids.length,
      trial.within(10_000),
    );
    const { cancelled: rows = 0 } = await world.rows.statuses(ids);
    return {
      ...{ happened: streams.length >= trial.many * 0.9 && openBefore >= streams.length * 0.9, healing },
      proof: `${String(streams.length)} streams were open, ${String(openBefore)} requests at backends; all callers closed at once`,
      notes: [
        `the last backend request was closed after ${seconds(tookMs)}; ${String(rows)} of ${String(ids.length)} rows are cancelled`,
      ],
      broken: [
        ...(closed ? [] : [`${String(open())} requests of vanished callers stayed open at backends`]),
        ...(cancelled ? [] : [`only ${String(rows)} of ${String(ids.length)} rows are cancelled`]),
      ],
    };
  },
};

/** Readers that take nothing: more waits for each than the system's buffers hold. */
export const slowReaders: Fault = {
  name: '6 callers who do not read',
  sparesTools: true,
  spanMs: 50_000,
  after: 0.1,
  async strike(trial) {
    const { world } = trial;
    const edge = world.edge('e1');
    const order = { pool: 'wide', pieces: 500, gapMs: 20, padBytes: 40_000, edge: edge.name };
    const readers = await trial.openStreams(6, order);
    const ids = readers.flatMap((each) => each.taskId() ?? []);
    const before = memoryOf(edge.process.pid);
    const at = performance.now();
    readers.forEach((each) => each.stall());
    const healing = trial.heal(at, { pool: 'wide', edge: edge.name });
    let most = before;
    const gone = (): number =>
      edge.process
        .events('inference.finished')
        .filter(({ taskId, status }) => status === 499 && ids.includes(String(taskId))).length;
    const dropped = await until(async () => {
      most = Math.max(most, memoryOf(edge.process.pid));
      await pause(200);
      return gone() === ids.length;
    }, trial.within(90_000));
    const tookMs = performance.now() - at;
    const statuses = Object.entries(await world.rows.statuses(ids)).map(
      ([status, n]) => `${String(n)} ${status}`,
    );
    readers.forEach((each) => each.leave());
    return {
      ...{ happened: readers.length >= 5, healing },
      proof: `${String(readers.length)} callers stopped reading, with 20 MB to come for each`,
      notes: [
        `the edge, which serves the load beside them, grew by ${(most - before).toFixed(0)} MB at most`,
        `the last was dropped after ${seconds(tookMs)}; their tasks: ${statuses.join(', ')}`,
      ],
      broken: dropped ? [] : ['a reader that takes nothing was not dropped'],
    };
  },
};
