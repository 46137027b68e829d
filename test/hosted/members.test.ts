import { expect } from 'chai';
import { createBus } from '../../core/runtime/bus.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { HostedMembers } from '../../worker/hosted/members.ts';
import type { PublicLlm } from '../../worker/sources/registry.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });

describe('the public llms of a hosted worker', () => {
  it('are served although a row among them can be none, whoever wrote it', async () => {
    const bus = createBus(log);
    const missed: unknown[] = [];
    bus.on('loop.left', (of) => missed.push(of));
    const members = new HostedMembers({
      ownFiles: [],
      namedKeys: [],
      env: {},
      dialling: {},
      secretKeys: () => expect.fail('no llm has a secret'),
      bus,
      clock,
      log,
    });
    const row = (name: string, url: string, type = 'openai'): PublicLlm => ({
      ...{ id: `id-${name}`, name, poolKey: name, model: 'm', apiKeyRef: null },
      ...{ maxConcurrency: null, revision: 1, type, url },
    });
    const rows = [
      row('torn', 'http://['),
      row('newer', 'http://127.0.0.1:9', 'a type of a newer release'),
      row('well', 'http://127.0.0.1:9/v1'),
    ];
    try {
      const update = await members.update(rows);
      expect(update?.all.map(({ member }) => member.name)).to.deep.equal(['well']);
      const one = { loop: 'hosted-rows', left: 0, failed: 1, ended: 0 };
      expect(missed).to.deep.equal([one, one]);
      expect(await members.update(rows), 'nothing has changed').to.equal(undefined);
    } finally {
      members.end();
    }
  });
});
