import { expect } from 'chai';
import { unfitFor, type Needs } from '../../core/fit.ts';
import { needsOf } from '../../edge/inference/needs.ts';

const nothing: Needs = { operation: 'chat', tools: false, vision: false, tokenIds: false, leastTokens: 0 };

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
    ['a text that just fits', { contextLength: 100 }, { leastTokens: 100 }, null],
    ['a text that is too long', { contextLength: 100 }, { leastTokens: 101 }, 'context'],
    ['nobody knows how long', {}, { leastTokens: 1_000_000 }, null],
  ];
  for (const [name, can, needs, expected] of cases)
    it(name, () => {
      expect(unfitFor(can, { ...nothing, ...needs })).to.equal(expected);
    });
});

describe('what a request asks of a member', () => {
  it('counts the text of messages alone, eight bytes a token', () => {
    const picture = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(10_000)}` } };
    const content = [{ type: 'text', text: 'x'.repeat(80) }, picture];
    const messages = [
      { role: 'user', content },
      { role: 'user', content: 'é'.repeat(40) },
    ];
    expect(needsOf('chat', { messages })).to.deep.equal({ ...nothing, vision: true, leastTokens: 20 });
  });

  it('takes each input by itself, and token ids for what they are', () => {
    const needs = (input: unknown): unknown => {
      const { tokenIds, leastTokens } = needsOf('embeddings', { input });
      return [tokenIds, leastTokens];
    };
    expect(needs(['x'.repeat(80), 'x'.repeat(160)])).to.deep.equal([false, 20]);
    expect(needs([1, 2, 3])).to.deep.equal([true, 3]);
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
    expect(needsOf('responses', { instructions: text, input: text }).leastTokens).to.equal(20);
    const seen = [{ role: 'user', content: [{ type: 'input_image' }] }];
    expect(needsOf('responses', { input: seen }).vision).to.equal(true);
    const system = [{ type: 'text', text }];
    expect(needsOf('messages', { system, messages: [{ content: text }] }).leastTokens).to.equal(20);
  });
});
