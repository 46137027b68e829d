import { expect } from 'chai';
import fc from 'fast-check';
import { formOf, type Form } from '../../edge/inference/form/index.ts';

const operations = ['chat', 'completions', 'responses', 'messages'] as const;
type Operation = (typeof operations)[number];

function resumable(operation: Operation): Form {
  const taskId = '0190a5f0-0000-7000-8000-000000000001';
  const createdAt = new Date(1_700_000_000_000);
  const row = { id: taskId, operation, createdAt, llmName: 'desk', source: 'infer' as const };
  const asked = { model: 'alias', wantsUsage: true, encoding: 'float' as const };
  return formOf(row, { ...asked, customTools: [], toolNames: [], stops: [] });
}

/** Events as backends send them, with what they leave out, or say otherwise each time. */
const maybe = <T>(arb: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arb, { nil: undefined });
const id = maybe(fc.constantFrom('chatcmpl-1', 'chatcmpl-2', ''));
const created = maybe(fc.constantFrom(0, 1_700_000_001, 1_700_000_002));
const finish_reason = fc.constantFrom(null, 'stop', 'null');
const role = maybe(fc.constant('assistant'));
const content = maybe(fc.constantFrom('', 'word', null));
const tool_calls = maybe(fc.constant([{ function: { arguments: '{' } }]));
const chunk = fc.record({
  ...{ id, created },
  choices: maybe(
    fc.array(
      fc.record({
        ...{ index: maybe(fc.nat(1)), finish_reason, text: maybe(fc.string()) },
        delta: maybe(fc.record({ role, content, tool_calls })),
      }),
      { maxLength: 2 },
    ),
  ),
  usage: maybe(fc.constant({ prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 })),
});
const event = fc.record({
  type: fc.constantFrom('response.created', 'response.in_progress', 'response.output_text.delta', 'x'),
  sequence_number: maybe(fc.nat(9)),
  response: maybe(fc.record({ id: maybe(fc.constantFrom('resp_1', 'resp_2')), model: fc.string() })),
});
const odd = fc.constantFrom('{"type":"ping"}', 'no JSON', '[]');
const saidIn = (operation: Operation) => {
  const isChunks = operation === 'chat' || operation === 'completions';
  const own: fc.Arbitrary<object> = isChunks ? chunk : event;
  const arbitrary = own.map((value) => JSON.stringify(value));
  return fc
    .array(fc.oneof({ weight: 5, arbitrary }, odd), { minLength: 1, maxLength: 8 })
    .chain((events) =>
      fc.record({ events: fc.constant(events), from: fc.nat(events.length - 1), told: fc.nat() }),
    );
};

describe('an answer whose reader may begin anywhere', () => {
  for (const operation of operations)
    it(`is the same to all, whatever they have read and been told while they waited: ${operation}`, () => {
      fc.assert(
        fc.property(saidIn(operation), ({ events, from, told }) => {
          const [whole, late] = [resumable(operation), resumable(operation)];
          const shown = events.map((data) => whole.event(data));
          events.slice(from).forEach((data, n) => {
            if ((told >> n) % 2 === 1) late.keepAlive({ state: 'queued', position: 1 });
            expect(late.event(data)).to.deep.equal(shown[from + n]);
          });
        }),
        { numRuns: 500 },
      );
    });
});
