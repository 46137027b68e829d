import { expect } from 'chai';
import fc from 'fast-check';
import { assemble, MOST_ANSWER_CHARS } from '../../../core/agent/assemble.ts';

const chunk = (delta: object, more: object = {}): string =>
  JSON.stringify({ id: 'x', choices: [{ index: 0, delta, finish_reason: null }], ...more });
const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 });
const call = fc.record({ id: fc.uuid(), name: fc.stringMatching(/^[a-z_]{1,12}$/), arguments: text });

/** Cuts a text at these places, each a share of its length. */
function cutAt(whole: string, places: readonly number[]): string[] {
  const points = [...new Set(places.map((share) => Math.floor(share * whole.length)))].sort((a, b) => a - b);
  return [0, ...points].map((from, at) => whole.slice(from, [...points, whole.length][at]));
}

describe('assemble', () => {
  it('gives back what was told, however it was torn, and as a whole answer has it', () => {
    const answers = fc.record({
      content: text,
      reasoning: fc.option(text),
      calls: fc.uniqueArray(call, { maxLength: 4, selector: ({ id }) => id }),
      field: fc.constantFrom('reasoning_content', 'reasoning'),
      places: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 }),
      saysIndex: fc.boolean(),
    });
    const property = fc.property(answers, ({ content, reasoning, calls, field, places, saysIndex }) => {
      const thoughts = cutAt(reasoning ?? '', places).map((piece) => chunk({ [field]: piece }));
      const words = cutAt(content, places).map((piece) => chunk({ content: piece }));
      const tools = calls.flatMap(({ id, name, arguments: given }, index) =>
        cutAt(given, places).map((piece, at) =>
          chunk({
            tool_calls: [
              {
                ...(saysIndex ? { index } : {}),
                ...(at === 0 ? { id, type: 'function' } : {}),
                function: { ...(at === 0 ? { name } : {}), arguments: piece },
              },
            ],
          }),
        ),
      );
      const expected = {
        content,
        reasoning,
        reasoningField: reasoning === null ? null : field,
        toolCalls: calls.length === 0 ? null : calls,
        isWhole: true,
      };
      expect(assemble('t', [chunk({ role: 'assistant' }), ...thoughts, ...words, ...tools])).to.deep.equal(
        expected,
      );
      const message = {
        content,
        [field]: reasoning,
        tool_calls: calls.map(({ id, ...named }) => ({ id, type: 'function', function: named })),
      };
      expect(assemble('t', [JSON.stringify({ choices: [{ index: 0, message }] })])).to.deep.equal(expected);
    });
    fc.assert(property, { numRuns: 200 });
  });

  it('takes nothing from what is no chunk, and never throws', () => {
    const any = fc.oneof(
      fc.string(),
      fc.json(),
      fc.constantFrom('[DONE]', 'null', '{"choices":7}', '{"error":{}}'),
    );
    const property = fc.property(fc.array(any, { maxLength: 5 }), text, (junk, word) => {
      const { content } = assemble('t', [...junk, chunk({ content: word }), ...junk]);
      expect(content).to.include(word);
    });
    fc.assert(property, { numRuns: 200 });
    const others = JSON.stringify({ choices: [{ index: 1, delta: { content: 'other' } }] });
    expect(assemble('t', [others, chunk({ content: null }), chunk({ content: 'one' })]).content).to.equal(
      'one',
    );
  });

  it('names calls without an id as their readers see them, and keeps no more than is kept', () => {
    const bare = chunk({ tool_calls: [{ function: { name: 'f', arguments: '{}' } }] });
    expect(assemble('task', [bare]).toolCalls).to.deep.equal([
      { id: 'call_task_0_0', name: 'f', arguments: '{}' },
    ]);
    const part = 'x'.repeat(MOST_ANSWER_CHARS / 2);
    const { content, isWhole } = assemble(
      't',
      [part, part, 'y'].map((piece) => chunk({ content: piece })),
    );
    expect(content.length).to.equal(MOST_ANSWER_CHARS);
    expect(isWhole).to.equal(false);
  });
});
