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
  // What is left is plain, here and of a pool: a key that nobody has thought of below is one of them, or no string.
  const { namespace, pool, lease, control, wake, relay, briefing, listeners, share, ...ofAll } =
    createKeys('ns');
  const { briefedIn, link, linkedText, linksOf, traffic, subscribed, subscriber, ...plain } = ofAll;
  const { task, queue, turns, edgeChannel, hash, ...ofPool } = pool('some pool');
  const all: string[] = [
    ...Object.values(ofPool),
    ...Object.values(task('T')),
    edgeChannel('<edge>'),
    turns('interactive').replace('interactive', '<priority>'),
    turns('interactive', '<llm id>').replace('interactive', '<priority>'),
    lease('{W}').replace('{{W}}', '{W}'),
    control('{W}', '<boot>').replace('{{W}}', '{W}'),
    wake('L'),
    relay('id'),
    briefing({ projectId: '<project>', tokenId: '<token>' }),
    briefedIn({ projectId: '<project>', tokenId: '<token>' }),
    listeners('<user>'),
    share('calls', '<owner>').replace('calls', '<what>'),
    link('<project>', '<hash>'),
    linkedText('<hash>'),
    linksOf('<user>'),
    subscribed('<user>'),
    subscriber('<stream>'),
    ...Object.values(traffic('<project>')),
    ...Object.values(plain),
  ];
  return [queue(), queue('<llm id>'), ...all.map((key) => key.slice(namespace.length + 1))].map((key) =>
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
