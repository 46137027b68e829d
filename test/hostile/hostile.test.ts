import { expect } from 'chai';
import { startSystem } from '../support/system.ts';
import { anything, asShipped, faultsOf, furnish, harmOf, measure, type House } from './run.ts';

/** A part of `npm run hostile`: what is held here is memory, and that others are served; times are for the whole run. */
describe('an edge under attack', () => {
  let house: House;
  before(async () => {
    house = await furnish(await startSystem(asShipped));
  });
  after(() => house.close());

  for (const attack of [
    'upload-after-401',
    'one-byte-chunks',
    'gzip-broken-off',
    'pipelining',
    'many-values',
    'unread-answers',
    'wrong-tokens',
    'mcp-streams',
  ])
    it(`pays for ${attack} what was sent, and serves others`, async () => {
      const how = { share: 0.3, forMs: 300, alone: anything, givenBackMs: 300 };
      const cost = await measure(house, attack, how);
      // What V8 held for answers of many megabytes it gives back when it pleases.
      const faults = attack === 'unread-answers' ? harmOf(cost) : faultsOf(cost);
      expect(faults).to.deep.equal([]);
    });
});
