import { expect } from 'chai';
import { llmViewSchema } from '../../core/llm.ts';
import { read, spans, tableOf } from './markdown.ts';

const rows = tableOf(read('docs/glossary.md'), 'word');
const meanings = new Map(rows.map((row) => [row['word']?.replaceAll('**', ''), row['meaning'] ?? '']));

/** What the product speaks of; the glossary may have more. */
const words = [
  ...[
    'llm',
    'kind',
    'status',
    'provider',
    'provider session',
    'pool key',
    'pool',
    'member',
    'task',
    'claim',
    'fence',
  ],
  ...[
    'attempts',
    'crashes',
    'event',
    'agent',
    'duty',
    'leader',
    'slot',
    'epoch',
    'outcome',
    'boot',
    'lease',
    'queue',
  ],
  ...[
    'worker',
    'edge',
    'scheduler',
    'registry',
    'transport',
    'settle',
    'reap',
    'reconcile',
    'requeue',
    'show',
    'beat',
  ],
];

describe('docs/glossary.md', () => {
  it('explains the words that code, API and command line use', () => {
    expect([...meanings.keys()]).to.include.members(words);
    for (const [word, meaning] of meanings) expect(meaning, word).to.not.equal('');
  });

  it('explains each word once', () => {
    expect(rows).to.have.length(meanings.size);
  });

  it('names every kind and status that an llm can have', () => {
    const { kind, status, inactiveReason } = llmViewSchema.shape;
    expect(spans(meanings.get('kind') ?? '')).to.have.members(kind.options);
    const all = [...status.options, ...inactiveReason.unwrap().options];
    expect(spans(meanings.get('status') ?? '')).to.have.members(all);
  });
});
