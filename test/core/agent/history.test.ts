import { expect } from 'chai';
import fc from 'fast-check';
import {
  historyTexts,
  type AddedMessage,
  type KeptMessage,
  type ReadyMessage,
} from '../../../core/agent/history.ts';

interface Sent {
  role: string;
  content: string | null;
  tool_call_id?: string;
  tool_calls?: { id: string }[];
}

const plain = { parts: null, toolCalls: null, toolCallId: null };
const ids = fc.constantFrom('a', 'b', 'c', 'd');
const user = fc.string().map((content): KeptMessage => ({ ...plain, role: 'user', content }));
const result = fc
  .tuple(ids, fc.string())
  .map(([id, content]): KeptMessage => ({ ...plain, role: 'tool', content, toolCallId: id }));
const answer = fc
  .tuple(fc.string(), fc.uniqueArray(ids, { maxLength: 3 }))
  .map(([content, called]): KeptMessage => ({
    ...plain,
    role: 'assistant',
    content,
    toolCalls: called.length === 0 ? null : called.map((id) => ({ id, name: 'f', arguments: '{' })),
  }));

describe('the history of a thread', () => {
  it('has one result for each call, in the order of the calls, right behind it, and none without one', () => {
    const kept = fc.array(fc.oneof(user, answer, result), { maxLength: 12 });
    const added = fc.array(fc.oneof(user, result), { maxLength: 4 });
    const property = fc.property(kept, added, (before, now) => {
      const sent = now.map(({ role, toolCallId, content }): AddedMessage => ({
        role: role === 'tool' ? 'tool' : 'user',
        toolCallId,
        text: JSON.stringify({ role, content, ...(toolCallId !== null && { tool_call_id: toolCallId }) }),
      }));
      const texts = historyTexts(before, sent).map((text) => JSON.parse(text) as Sent);
      let open: string[] = [];
      for (const { role, tool_calls: calls, tool_call_id: id } of texts) {
        if (role === 'tool') expect(id).to.equal(open.shift());
        else expect(open, 'a call without a result').to.deep.equal([]);
        if (calls) open = calls.map((made) => made.id);
      }
      expect(open).to.deep.equal([]);
      const saidBy = (who: string, all: readonly { role: string; content: string | null }[]): string =>
        all.flatMap(({ role, content }) => (role === who ? [content ?? ''] : [])).join('');
      const own = texts.filter(({ content }) => content !== 'No answer was given.');
      for (const who of ['user', 'assistant'])
        expect(saidBy(who, own)).to.equal(saidBy(who, [...before, ...now]));
      // A round that was cancelled before it said anything is told to nobody, and one that was gone on with is one answer.
      texts.forEach(({ role, tool_calls: calls }, at) => {
        if (role !== 'assistant' || calls) return;
        expect(texts[at + 1]?.role, 'behind an answer').to.be.oneOf(['user', undefined]);
      });
    });
    fc.assert(property, { numRuns: 300 });
  });

  it('is the same of messages that stand ready, whichever of them do', () => {
    const kept = fc.array(fc.tuple(fc.oneof(user, answer, result), fc.boolean()), { maxLength: 12 });
    const added = [{ role: 'user', toolCallId: null, text: '{"role":"user","content":"and now?"}' } as const];
    const ready = (message: KeptMessage): KeptMessage | ReadyMessage => {
      const { role, content, toolCalls } = message;
      if (role === 'tool' || toolCalls !== null || (role === 'assistant' && content === '')) return message;
      return { role, text: JSON.stringify({ role, content }), contentBytes: Buffer.byteLength(content) };
    };
    const property = fc.property(kept, (before) => {
      const some = before.map(([message, isReady]) => (isReady ? ready(message) : message));
      const all = before.map(([message]) => message);
      expect(historyTexts(some, added)).to.deep.equal(historyTexts(all, added));
    });
    fc.assert(property, { numRuns: 300 });
  });

  it('alternates between users and answers, as templates of models want it, wherever turns were given up', () => {
    const rounds = fc.array(fc.tuple(fc.uniqueArray(ids, { minLength: 1, maxLength: 3 }), fc.nat(3)), {
      maxLength: 3,
    });
    const turns = fc.array(fc.tuple(rounds, fc.constantFrom('Done.', '')), { maxLength: 6 });
    const property = fc.property(turns, (all) => {
      const kept = all.flatMap(([made, last]): KeptMessage[] => {
        const asked = made.flatMap(([called, given]): KeptMessage[] => [
          {
            ...{ ...plain, role: 'assistant', content: '' },
            toolCalls: called.map((id) => ({ id, name: 'f', arguments: '{}' })),
          },
          ...called
            .slice(0, given)
            .map((id): KeptMessage => ({ ...plain, role: 'tool', content: 'x', toolCallId: id })),
        ]);
        // A turn of which nothing was said is not told of, nor its question.
        if (made.length === 0 && last === '') return [];
        return [
          { ...plain, role: 'user', content: 'q' },
          ...asked,
          { ...plain, role: 'assistant', content: last },
        ];
      });
      const added: AddedMessage = { role: 'user', toolCallId: null, text: '{"role":"user","content":"new"}' };
      const roles = historyTexts(kept, [added])
        .map((text) => JSON.parse(text) as Sent)
        .filter(({ role, tool_calls: calls }) => role === 'user' || (role === 'assistant' && !calls))
        .map(({ role }) => role);
      expect(roles).to.deep.equal(roles.map((_, at) => (at % 2 === 0 ? 'user' : 'assistant')));
      expect(roles.at(-1)).to.equal('user');
    });
    fc.assert(property, { numRuns: 300 });
  });

  it('keeps results that came in another order, the first of each, and contents that are lists', () => {
    const calls = ['a', 'b'].map((id) => ({ id, name: 'f', arguments: '{}' }));
    const kept: KeptMessage[] = [
      { ...plain, role: 'user', content: 'see', parts: '[{"type":"text","text":"see"}]' },
      { ...plain, role: 'assistant', content: '', toolCalls: calls },
      { ...plain, role: 'tool', content: 'for b', toolCallId: 'b' },
      { ...plain, role: 'tool', content: 'again', toolCallId: 'b' },
    ];
    expect(
      historyTexts(kept, [{ role: 'tool', toolCallId: 'a', text: '{"big":12345678901234567890}' }]),
    ).to.deep.equal([
      '{"role":"user","content":[{"type":"text","text":"see"}]}',
      '{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]}',
      '{"big":12345678901234567890}',
      '{"role":"tool","tool_call_id":"b","content":"for b"}',
    ]);
  });
});
