import { McpctlError } from '../../core/errors.ts';
import { poolKeyOf } from '../../core/names.ts';
import { readWorkerConfig } from '../sources/config.ts';
import { agree, type Face } from './face.ts';
import { init, moveTo } from './init.ts';

/**
 * What a machine that has just joined shares in the pools that it may publish in: asked of its owner, where that is needed and
 * they can be asked. It has joined whatever comes of this. @returns the names of what is shared there.
 */
export async function shareThere(face: Face, pools: readonly string[]): Promise<string[]> {
  const { home } = face;
  const shared = async (): Promise<{ there: string[]; outside: string[] }> => {
    const { published } = await readWorkerConfig(home.config, home.root);
    const isThere = published.map((provider) => pools.includes(poolKeyOf(provider)));
    const names = (of: boolean): string[] =>
      published.filter((_, n) => isThere[n] === of).map(({ name }) => name);
    return { there: names(true), outside: names(false) };
  };
  try {
    const { there, outside } = await shared();
    const mayAsk = face.yes || face.asks;
    if (there.length + outside.length === 0 && mayAsk) await init(face, pools);
    if (outside.length > 0) {
      const [pool] = pools;
      const which = `${outside.join(', ')}: shared in another pool than ${pools.join(', ')}`;
      if (pool !== undefined && mayAsk && (await agree(face, `${which}. Put them into ${pool}?`, true)))
        moveTo(face, pool, outside);
      else face.say(`${which}, so that the server refuses it: set "poolName" in ${home.config}.`);
    }
    return (await shared()).there;
  } catch (thrown) {
    if (!(thrown instanceof McpctlError)) throw thrown;
    face.say(`Nothing is shared yet: ${thrown.message}`);
    return [];
  }
}
