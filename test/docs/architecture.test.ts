import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { createKeys } from '../../core/queue/keys.ts';
import { pages, read, root, spans, tableOf } from './markdown.ts';

const text = read('docs/architecture.md');
const named = new Set(spans(text));
const isPath = (text: string): boolean =>
  /^(core|edge|worker|scheduler|cli|start|test|docs|bench)\/[\w./-]*$/.test(text);

/** What keys.ts makes, with the names that the page uses. */
function keys(): string[] {
  const made = createKeys('ns');
  const pool = made.pool('some pool');
  const { task, queue, turns, edgeChannel, hash, ...ofPool } = pool;
  const all = [
    ...Object.values(ofPool),
    ...Object.values(task('T')),
    edgeChannel('<edge>'),
    turns('interactive').replace('interactive', '<priority>'),
    turns('interactive', '<llm id>').replace('interactive', '<priority>'),
    made.lease('{W}').replace('{{W}}', '{W}'),
    made.control('{W}', '<boot>').replace('{{W}}', '{W}'),
    made.wake('L'),
    made.relay('id'),
    made.duties,
    made.epoch,
    made.generation,
    made.identity,
    made.briefing({ projectId: '<project>', tokenId: '<token>' }),
    made.link('<project>', '<hash>'),
    made.linkedText('<hash>'),
    made.watchers,
    made.watched,
    ...Object.values(made.traffic('<project>')),
    made.probe,
  ];
  return [queue(), queue('<llm id>'), ...all.map((key) => key.slice('ns:'.length))].map((key) =>
    key.replaceAll(hash, 'P'),
  );
}

describe('docs/architecture.md', () => {
  it('names only files and folders that are there, as the other pages do', () => {
    for (const page of pages())
      for (const path of spans(read(page)).filter(isPath))
        expect(existsSync(join(root, path)), `${page}: ${path}`).to.equal(true);
  });

  it('lists the duties of the scheduler', () => {
    const duties = readdirSync(join(root, 'scheduler/duties')).filter(
      (f) => !['duty.ts', 'index.ts'].includes(f),
    );
    const listed = tableOf(text, 'duty').map((row) => spans(row['duty'] ?? '')[0]);
    expect(listed).to.have.members(duties.map((file) => `scheduler/duties/${file}`));
  });

  it('names every script', () => {
    const scripts = readdirSync(join(root, 'core/queue/scripts'));
    for (const file of scripts) expect(named.has(file), file).to.equal(true);
  });

  it('lists every Redis key, and no other', () => {
    const listed = tableOf(text, 'key').flatMap((row) => spans(row['key'] ?? ''));
    expect(listed).to.have.members(keys());
  });

  it('names every middleware and every step of an inference', () => {
    const rooms = ['ask', 'follow', 'answer'].map((room) => `edge/inference/${room}`);
    for (const folder of ['edge/middleware', 'edge/inference', ...rooms])
      for (const file of readdirSync(join(root, folder)))
        expect(named.has(`${folder}/${file}`) || rooms.includes(`${folder}/${file}`), file).to.equal(true);
  });
});
