import { expect } from 'chai';
import { McpctlError } from '../../../core/errors.ts';
import { redisUnavailable } from '../../../core/queue/trouble.ts';
import { eachInTurn, type Missed } from '../../../core/runtime/each-in-turn.ts';

describe('a short list that is gone through', () => {
  const foreign = Object.assign(new Error('WRONGTYPE Operation against a key'), { name: 'ReplyError' });
  let missed: Missed | undefined;
  /** @returns those that went well, and what was thrown. */
  const through = async (act: (item: number) => Promise<unknown>): Promise<[number[], unknown]> => {
    const done: number[] = [];
    missed = undefined;
    const acted = async (item: number): Promise<void> => {
      await act(item);
      done.push(item);
    };
    const thrown = await eachInTurn([0, 1, 2, 3, 4, 5, 6, 7], acted, (of) => (missed = of)).catch(
      (error: unknown) => error,
    );
    return [done, thrown];
  };

  it('goes on past those that fail, and says of the first in the end', async () => {
    const first = new Error('poison');
    const [done, thrown] = await through((item) =>
      item < 5 ? Promise.reject(item === 0 ? first : redisUnavailable(foreign)) : Promise.resolve(),
    );
    expect(done).to.deep.equal([5, 6, 7]);
    expect(thrown).to.equal(first);
    expect(missed).to.deep.equal({ left: 0, failed: 5 });
    expect(await through(() => Promise.resolve())).to.deep.equal([[0, 1, 2, 3, 4, 5, 6, 7], undefined]);
    expect(missed).to.equal(undefined);
  });

  it('goes on past what somebody else holds, however much of it', async () => {
    const lockError = new McpctlError('unavailable', undefined, { cause: { sqlState: '55P03' } });
    const [done] = await through((item) => (item < 5 ? Promise.reject(lockError) : Promise.resolve()));
    expect(done).to.deep.equal([5, 6, 7]);
  });

  it('ends where a store is away: nobody waits for its limit of time as often as there are items', async () => {
    let asked = 0;
    const [done, thrown] = await through((item) => {
      asked += 1;
      return item === 1 ? Promise.resolve() : Promise.reject(new McpctlError('unavailable'));
    });
    expect([done, asked]).to.deep.equal([[1], 5]);
    expect(thrown).to.include({ code: 'unavailable' });
    expect(missed).to.deep.equal({ left: 3, failed: 4 });
  });
});
