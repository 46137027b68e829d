import fc from 'fast-check';
import { histories, perform } from './histories/commands.ts';
import { openHouse, type House } from './histories/house.ts';
import { Play } from './histories/play.ts';

/** The same histories every time; another seed, or more of them, may be asked for. */
const seed = Number(process.env.MCPCTL_SEED ?? 20_261_121);
const numRuns = Number(process.env.MCPCTL_RUNS ?? 60);

describe('histories of tasks, in a real Redis and a real Postgres', function () {
  this.timeout(Math.max(120_000, numRuns * 3_000));
  let house: House;
  before(async () => {
    house = await openHouse();
  });
  after(() => house.end());

  it('keep every promise, whoever dies, is held up or loses its memory', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (commands) => {
        await house.connection.db('tasks').delete();
        await house.connection.db('redisGenerations').delete();
        await house.loseRedis();
        await house.present();
        const play = new Play(house);
        await play.notice(null);
        await play.submit('infer', null);
        for (const command of commands) {
          await perform(play, command);
          await play.look();
        }
        await play.calmDown();
        await play.again();
      }),
      { seed, numRuns },
    );
  });
});
