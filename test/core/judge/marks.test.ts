import { expect } from 'chai';
import { StreamJudge } from '../../../core/judge/stream.ts';
import { judgeWhole } from '../../../core/judge/whole.ts';

describe('the end of an answer', () => {
  const judged = (body: object) => judgeWhole(JSON.stringify(body), { operation: 'chat' });

  describe('has stopped where it says nothing of that, whole or streamed', () => {
    const calls = [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }];
    for (const [more, reason] of [
      [{}, 'stop'],
      [{ tool_calls: calls }, 'tool_calls'],
    ] as const)
      it(reason, () => {
        const message = { role: 'assistant', content: 'a', ...more };
        const whole = judged({
          choices: [
            { index: 0, message, finish_reason: null },
            { index: 1, message },
          ],
        });
        expect(whole).to.include({ finishReason: reason }).and.to.have.property('remark');
        const { choices } = JSON.parse('body' in whole ? String(whole.body) : '{}') as { choices: object[] };
        for (const choice of choices) expect(choice).to.include({ finish_reason: reason });
      });
  });

  describe('is none where the reason is a failure', () => {
    // GLM, DeepSeek, Gemini behind gateways, vLLM (vllm-project/vllm#57082)
    for (const reason of [
      'network_error',
      'insufficient_system_resource',
      'malformed_function_call',
      'function_call_filter: MALFORMED_FUNCTION_CALL',
      'cancelled',
      'timeout',
      'abort',
    ])
      it(reason, () => {
        const message = { role: 'assistant', content: '' };
        const failed = { blame: 'broken', code: 'backend_error', retryable: true };
        expect(judged({ choices: [{ index: 0, message, finish_reason: reason }] })).to.include(failed);
        const data = JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: reason }] });
        const { last } = new StreamJudge({ operation: 'chat' }).pass([{ data }, { data: '[DONE]' }]);
        expect(last).to.include(failed);
      });
  });

  it('is no fault of a member’s health where it has not the path, also with 200', () => {
    // lmstudio-ai/lmstudio-bug-tracker#1680
    const error = 'Unexpected endpoint or method. (POST /v1/x). Returning 200 anyway';
    expect(judged({ error })).to.include({ blame: 'unable', code: 'backend_misconfigured' });
  });

  it('is the error that a gateway has put behind an event that it had not finished', () => {
    // Wei-Shaw/sub2api#1471
    const error = { type: 'error', error: { type: 'upstream_error', message: 'stream_read_error' } };
    const data = `{"type":"response.completed","response":{"id":"r"\n${JSON.stringify(error)}`;
    const { last } = new StreamJudge({ operation: 'responses' }).pass([{ data }]);
    expect(last).to.include({ blame: 'broken', code: 'backend_error' });
    expect(last)
      .to.have.property('message')
      .that.matches(/: stream_read_error$/);
  });

  describe('is what its strongest mark says', () => {
    const call = (json: string) => [
      { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: json } },
    ];
    const cases: [string, object, string, string][] = [
      // vllm-project/vllm#53269: a call that the limit has cut off is said to be whole.
      ['a call that is cut off', { tool_calls: call('{"a": [1, "}') }, 'tool_calls', 'length'],
      [
        'one of several calls that is',
        { tool_calls: [...call('{}'), { index: 1, function: { name: 'g', arguments: '{"a"' } }] },
        'stop',
        'length',
      ],
      ['a call that is whole', { tool_calls: call('{"a": "\\"}]{"}') }, 'tool_calls', 'tool_calls'],
      ['a call without arguments', { tool_calls: call('') }, 'stop', 'tool_calls'],
      ['a limit beside a call that is whole', { tool_calls: call('{}') }, 'length', 'length'],
      ['another protocol’s words', { content: 'a' }, 'end_turn', 'stop'],
      ['another protocol’s words', { content: 'a' }, 'MAX_TOKENS', 'length'],
      ['GLM’s word', { content: 'a' }, 'sensitive', 'content_filter'],
      ['calls by another protocol’s word', { tool_calls: call('{}') }, 'tool_use', 'tool_calls'],
    ];
    for (const [what, message, reason, right] of cases)
      it(`${what}: ${reason} is ${right}`, () => {
        const whole = judged({ choices: [{ index: 0, message, finish_reason: reason }] });
        expect(whole).to.include({ finishReason: right });
        const chunk = (delta: object, finish_reason: string | null) => ({
          data: JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] }),
        });
        const judge = new StreamJudge({ operation: 'chat' });
        const { events } = judge.pass([chunk(message, null), chunk({}, reason)]);
        expect(events.at(-1)).to.include(`"finish_reason":"${right}"`);
      });
  });
});
