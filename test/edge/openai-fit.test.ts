import { expect } from 'chai';
import { chosenAmong, unfitFor, type Needs } from '../../core/member/fit.ts';
import { needsOf } from '../../edge/inference/ask/needs.ts';

const nothing: Needs = { operation: 'chat', tools: false, vision: false, tokenIds: false, aboutTokens: 0 };

describe('what a member can do', () => {
  const cases: [string, Parameters<typeof unfitFor>[0], Partial<Needs>, ReturnType<typeof unfitFor>][] = [
    ['chat is assumed', {}, {}, null],
    ['so are embeddings', {}, { operation: 'embeddings' }, null],
    ['responses must be said', {}, { operation: 'responses' }, 'operation'],
    ['and messages', {}, { operation: 'messages' }, 'operation'],
    ['what is said counts', { operations: ['messages'] }, { operation: 'messages' }, null],
    ['also for what would be assumed', { operations: ['messages'] }, {}, 'operation'],
    ['tools unless denied', {}, { tools: true }, null],
    ['no tools', { tools: false }, { tools: true }, 'tools'],
    ['no tools, and none asked for', { tools: false }, {}, null],
    ['no pictures', { vision: false }, { vision: true }, 'vision'],
    ['no token ids', { tokenIds: false }, { operation: 'embeddings', tokenIds: true }, 'tokenIds'],
    ['a text that is perhaps too long', { contextLength: 100 }, { aboutTokens: 1_000_000 }, null],
  ];
  for (const [name, can, needs, expected] of cases)
    it(name, () => {
      expect(unfitFor(can, { ...nothing, ...needs })).to.equal(expected);
    });
});

describe('which of those that can do it are left for later', () => {
  const [small, large, unknown] = [
    { id: 's', can: { contextLength: 100 }, served: true },
    { id: 'l', can: { contextLength: 1_000 }, served: true },
    { id: 'u', can: {}, served: true },
  ] as const;
  const chosen = (aboutTokens: number, ...members: Parameters<typeof chosenAmong>[0]) =>
    chosenAmong(members, { ...nothing, aboutTokens });

  it('those that are perhaps too small, while one with more room serves', () => {
    expect(chosen(500, small, large)).to.deep.equal({ spared: ['s'], shorter: ['s'] });
    expect(chosen(500, small, { ...large, served: false })).to.deep.equal({ spared: [], shorter: ['s'] });
    expect(chosen(50, small, large)).to.deep.equal({ spared: [], shorter: ['s'] });
  });

  it('none of those that are all alike, and none that says nothing of its room', () => {
    expect(chosen(500, small, { ...small, id: 't' })).to.deep.equal({ spared: [], shorter: [] });
    expect(chosen(5_000, large, unknown)).to.deep.equal({ spared: ['l'], shorter: ['l'] });
  });
});

describe('what a request asks of a member', () => {
  it('guesses from the text of messages alone, four bytes a token', () => {
    const picture = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(10_000)}` } };
    const content = [{ type: 'text', text: 'x'.repeat(80) }, picture];
    const messages = [
      { role: 'user', content },
      { role: 'user', content: 'é'.repeat(40) },
    ];
    expect(needsOf('chat', { messages })).to.deep.equal({ ...nothing, vision: true, aboutTokens: 40 });
  });

  it('asks nothing where parts have a kind that is no text', () => {
    const content = [{ type: { toString: 1, valueOf: 1 } }];
    expect(needsOf('chat', { messages: [{ content }] })).to.include({ vision: false });
  });

  it('takes each input by itself, and token ids for what they are', () => {
    const needs = (input: unknown): unknown => {
      const { tokenIds, aboutTokens } = needsOf('embeddings', { input });
      return [tokenIds, aboutTokens];
    };
    expect(needs(['x'.repeat(80), 'x'.repeat(160)])).to.deep.equal([false, 40]);
    expect(needs([1, 2, 3])).to.deep.equal([true, 3]);
    // Not to be made a text: its backend refuses it.
    expect(needs([{ toString: 1, valueOf: 1 }])).to.deep.equal([false, 0]);
    expect(
      needs([
        [1, 2],
        [1, 2, 3, 4],
      ]),
    ).to.deep.equal([true, 4]);
  });

  it('sees tools that are there, and none in an empty list', () => {
    expect(needsOf('chat', { messages: [], tools: [{}] }).tools).to.equal(true);
    expect(needsOf('chat', { messages: [], functions: [{}] }).tools).to.equal(true);
    expect(needsOf('chat', { messages: [], tools: [] }).tools).to.equal(false);
  });

  it('reads instructions and input of responses, and the system text of messages', () => {
    const text = 'x'.repeat(80);
    expect(needsOf('responses', { instructions: text, input: text }).aboutTokens).to.equal(40);
    const seen = [{ role: 'user', content: [{ type: 'input_image' }] }];
    expect(needsOf('responses', { input: seen }).vision).to.equal(true);
    const system = [{ type: 'text', text }];
    expect(needsOf('messages', { system, messages: [{ content: text }] }).aboutTokens).to.equal(40);
  });
});
