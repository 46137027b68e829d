import { EventEmitter } from 'node:events';
import { expect } from 'chai';
import type { Request, Response } from 'express';
import type { Actor } from '../../core/access.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { FairGate } from '../../edge/limits/fair-gate.ts';
import type { Wanted } from '../../edge/limits/shared-room.ts';
import { authenticateBy } from '../../edge/middleware/authenticate.ts';
import { loopTurn } from '../../core/text/loop-turns.ts';

const limits = { ofOne: 1, inAll: 2, withinMs: 10_000, cap: 'gate', message: 'Wait.' };
const metrics = { refused: (): void => undefined };

describe('a gate', () => {
  it('lets in a few at a time, owners by rotation, and nobody who has gone', async () => {
    const gate = new FairGate(limits, metrics);
    const inside: string[] = [];
    const enter = async (owner: string, gone?: AbortSignal): Promise<() => void> => {
      const leave = await gate.enter(owner, gone);
      inside.push(owner);
      return leave;
    };
    const gone = new AbortController();
    const first = await enter('mallory');
    const crowd = [enter('mallory'), enter('mallory')];
    const left = enter('mallory', gone.signal).then(
      () => 'in',
      () => 'gone',
    );
    const ada = await enter('ada');
    const bob = enter('bob');
    expect(inside).to.deep.equal(['mallory', 'ada']);
    gone.abort();
    expect(await left).to.equal('gone');
    ada();
    ada();
    (await bob)();
    expect(inside).to.deep.equal(['mallory', 'ada', 'bob']);
    first();
    (await crowd[0])?.();
    (await crowd[1])?.();
    expect(inside).to.deep.equal(['mallory', 'ada', 'bob', 'mallory', 'mallory']);
  });

  it('says of one who is let in that they want what they wanted when they waited', async () => {
    const wanted: Wanted[] = [];
    let [mostNow, onRoom] = [0, (): void => undefined];
    const room = {
      may: () => mostNow,
      want: (_owner: string, now: Wanted) => void wanted.push(now),
      whenRoom: (tell: () => void) => void (onRoom = tell),
    };
    const gate = new FairGate({ ...limits, room }, metrics);
    const entered = gate.enter('ada');
    mostNow = 1;
    onRoom();
    (await entered)();
    expect(wanted.map(({ has, wants }) => [has, wants])).to.deep.equal([
      [0, 1],
      [1, 1],
      [0, 0],
    ]);
  });

  it('lets others in before one who was inside just now', async () => {
    const gate = new FairGate({ ...limits, inAll: 1, restMs: () => 20 }, metrics);
    const inside: string[] = [];
    const enter = async (owner: string): Promise<void> => {
      const leave = await gate.enter(owner);
      inside.push(owner);
      leave();
    };
    await enter('mallory');
    await Promise.all([enter('mallory'), enter('mallory'), enter('ada'), enter('bob')]);
    expect(inside).to.deep.equal(['mallory', 'ada', 'bob', 'mallory', 'mallory']);
  });

  it('begins nothing for those whose readers go together, one after the other', async () => {
    const gate = new FairGate(limits, metrics);
    const begun: number[] = [];
    const readers = Array.from({ length: 5 }, () => new AbortController());
    const [leave] = await Promise.all(readers.slice(0, 1).map(({ signal }) => gate.enter('mallory', signal)));
    const waiting = readers.slice(1).map(async ({ signal }, n) => {
      await gate.enter('mallory', signal);
      begun.push(n);
    });
    leave?.();
    for (const reader of readers) {
      reader.abort();
      await Promise.resolve();
    }
    await Promise.allSettled(waiting);
    expect(begun).to.deep.equal([]);
    const late = await gate.enter('ada', AbortSignal.abort()).then(String, (thrown: unknown) => thrown);
    expect(late).to.have.property('code', 'too_many_requests');
  });

  it('has no more wait than may', async () => {
    const gate = new FairGate({ ...limits, mostWaiting: 1 }, metrics);
    const leave = await gate.enter('ada');
    const waits = gate.enter('ada');
    const failure = await gate.enter('ada').then(String, (thrown: unknown) => thrown);
    expect(failure).to.have.property('code', 'too_many_requests');
    (await gate.enter('bob'))();
    leave();
    (await waits)();
  });

  it('tells who waits for too long so', async () => {
    const gate = new FairGate({ ...limits, withinMs: 1 }, metrics);
    await gate.enter('ada');
    const failure = await gate.enter('ada').then(String, (thrown: unknown) => thrown);
    expect(failure).to.have.property('code', 'too_many_requests');
  });
});

describe('turns of the loop', () => {
  it('are taken by owners in rotation, and everybody has one', async () => {
    const order: string[] = [];
    const take = async (owner: string, times: number): Promise<void> => {
      for (let n = 0; n < times; n++) {
        await loopTurn(owner);
        order.push(owner);
      }
    };
    await Promise.all([take('m', 1), take('m', 1), take('m', 1), take('a', 1), take('b', 1)]);
    expect(order).to.deep.equal(['m', 'a', 'b', 'm', 'm']);
  });

  it('hold no more slices than come to a millisecond', async () => {
    const perTurn: number[] = [];
    let [slices, left] = [0, 12];
    const countTurns = (): void => {
      perTurn.push(slices);
      slices = 0;
      if (left > 0) setImmediate(countTurns);
    };
    setImmediate(countTurns);
    const slice = async (): Promise<void> => {
      await loopTurn('m');
      for (const until = performance.now() + 1.1; performance.now() < until;);
      slices += 1;
      left -= 1;
    };
    await Promise.all(Array.from({ length: left }, slice));
    expect(Math.max(...perTurn)).to.equal(1);
  });
});

describe('a crowd of requests of one user', () => {
  it('begins a few a turn of the loop', async () => {
    let [inFlight, begun] = [0, 0];
    const actor = { userId: 'u', userName: 'mallory', tokenId: 't', tokenName: 't' } as Actor;
    const handler = authenticateBy(
      { of: () => 'token', actorOf: () => Promise.resolve(actor) },
      {
        caps: { enter: () => ({ inFlight: (inFlight += 1), leave: () => undefined }) },
        rates: { ofUser: () => undefined },
        authority: { hold: () => () => undefined },
        metrics: { authFailed: () => undefined },
        tokenUses: { note: () => undefined },
        registry: {
          groups: { actAs: () => Promise.resolve(actor) },
          audits: { record: () => Promise.resolve() },
        },
        clock: systemClock,
      },
    );
    const request = (): unknown => {
      const res = Object.assign(new EventEmitter(), { set: () => undefined });
      const context = { requestId: 'r' };
      const req = { method: 'GET', originalUrl: '/', get: () => undefined, context, res };
      Object.assign(res, { req });
      return handler(req as unknown as Request, res as unknown as Response, () => (begun += 1));
    };
    const all = Promise.all(Array.from({ length: 40 }, request));
    for (let n = 0; n < 50; n++) await Promise.resolve(); // what needs no turn has begun by then
    expect(begun).to.equal(8);
    await all;
    expect(begun).to.equal(40);
  });
});
