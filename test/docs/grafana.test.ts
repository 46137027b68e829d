import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { edgeFixture } from '../support/edge.ts';
import { read, root } from './markdown.ts';

const folder = 'deploy/grafana';

describe('deploy/grafana', function () {
  this.timeout(30_000);

  it('asks for nothing that is not exported', async () => {
    const t = await edgeFixture();
    try {
      const { text } = await t.call('GET /metrics', { token: t.tokens.root });
      const exported = new Set([...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name));
      for (const file of readdirSync(join(root, folder))) {
        const asked = [...read(`${folder}/${file}`).matchAll(/\bmcpctl_\w+/g)].map(([name]) => name);
        expect(asked).not.to.have.length(0);
        for (const name of asked) {
          const base = name.replace(/_(bucket|sum|count)$/, '');
          expect(exported.has(name) || exported.has(base), `${file}: ${name}`).to.equal(true);
        }
      }
    } finally {
      await t.close();
    }
  });
});
