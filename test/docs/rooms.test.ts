import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './markdown.ts';

const MOST = 12;
/** Who goes through many small rooms needs a map: so much of the product, in %, may be files of fewer lines than this. */
const MOST_SMALL = 15;
const SMALL_LINES = 30;
/** Tables of peers, each file an entry of its own: they grow with the product, and nobody reads them in a row. */
const peers = [
  'bench/scenarios',
  'cli/commands',
  'core/queue/scripts',
  'core/registry/migrations',
  'edge/middleware',
  'edge/routes',
  'scheduler/duties',
  'web/screens',
];

describe('the rooms of the house', () => {
  it(`have at most ${MOST} loose files each, but for tables of peers`, () => {
    const crowded: string[] = [];
    const look = (folder: string): void => {
      const entries = readdirSync(join(root, folder), { withFileTypes: true });
      const loose = entries.filter((entry) => entry.isFile());
      if (loose.length > MOST && !peers.includes(folder)) crowded.push(`${folder}: ${loose.length}`);
      for (const entry of entries)
        if (entry.isDirectory() && entry.name !== 'node_modules') look(`${folder}/${entry.name}`);
    };
    for (const folder of ['core', 'edge', 'worker', 'scheduler', 'cli', 'start', 'bench', 'web'])
      look(folder);
    expect(crowded).to.deep.equal([]);
  });

  it(`are no smaller than a thought: at most ${MOST_SMALL} % of the product's files have under ${SMALL_LINES} lines`, () => {
    const files = ['core', 'edge', 'worker', 'scheduler', 'cli', 'start', 'web'].flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((path) => /\.tsx?$/.test(path))
        .map((path) => join(root, folder, path)),
    );
    const small = files.filter((path) => readFileSync(path, 'utf8').split('\n').length <= SMALL_LINES);
    expect((100 * small.length) / files.length).to.be.at.most(MOST_SMALL);
  });
});
