import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { LlmRow } from '../../core/llm.ts';
import { Slots } from '../../core/member/slots.ts';
import { openRedis } from '../../core/queue/link/connect.ts';
import type { Fetchers } from '../../core/queue/jobs/fetchers.ts';
import { ownMarkers } from '../../core/queue/jobs/markers.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { LARGE_BODY_BYTES } from '../../core/text/large-body.ts';
import { RelayClaims } from '../../edge/relay/claims.ts';
import { createMember, type RelayMember } from '../../edge/relay/member.ts';
import type { RelayDeps } from '../../edge/relay/relay-deps.ts';
import { queueFixture, type QueueFixture } from '../queue/queue-fixture.ts';
import { until } from '../support/system.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const url = process.env['REDIS_URL'] ?? '';

describe('a member of the relay that closes while a job is on its way to it', function () {
  this.timeout(20_000);
  let t: QueueFixture;
  before(async () => {
    t = await queueFixture();
  });
  after(() => t.close());

  it('hands the task back, which counts as nothing, and sends nothing of it; a large request is not read for that', async () => {
    const poolKey = `p ${randomUUID()}`;
    const members: RelayMember[] = [];
    const closing = {
      next: async (...asked: Parameters<Fetchers['next']>) => {
        const job = await t.fetchers.next(...asked);
        if (job) members[0]?.gate.set(false);
        return job;
      },
    };
    const blocking = openRedis('blocking', { url, verifyTls: true, clock, log });
    const { keys } = t.door;
    const deps = {
      ...{ keys, clock, log, commands: t.redis, fetchers: closing },
      markers: ownMarkers({ commands: t.redis, blocking, keys }),
      trusted: { isOpen: () => true, untilOpen: () => Promise.resolve() },
      registry: { tasks: { submissionOf: () => expect.fail('it was read') } },
    } as unknown as RelayDeps;
    const carried = { session: randomUUID(), boot: 'b', nonce: 'n', beats: true, fetches: false };
    const unused = (): never => expect.fail('something was sent');
    const context = { deps, carried, onHeld: unused, send: unused };
    const slots = new Slots(1);
    const row = { id: 'llm-1', name: 'one', poolKey, ownerId: null, status: 'active' } as unknown as LlmRow;
    const member = createMember({ ...context, claims: new RelayClaims(deps, carried, unused) }, row, slots);
    members.push(member);
    for (const body of ['{}', 'x'.repeat(LARGE_BODY_BYTES + 1)]) {
      const task = await t.submitted({ taskId: randomUUID(), poolKey, body });
      member.gate.set(true);
      if (body === '{}') await member.consumer.start();
      const fence = await until(
        () => t.fence(task),
        (one) => one?.state === 'released',
      );
      const { counts, code } = JSON.parse(fence?.why ?? '{}') as Record<string, unknown>;
      expect([counts, code]).to.deep.equal(['none', 'shutting_down']);
      await until(
        () => Promise.resolve(slots.isFree()),
        (isFree) => isFree,
      );
    }
    await member.consumer.drain();
    await member.consumer.stop();
  });
});
