import { expect } from 'chai';
import OpenAI from 'openai';
import { answers, type Backend } from '../support/backend.ts';
import { HURRIED_MS, thrownBy, type Door } from './door.ts';
import { openAiAt } from './readers.ts';
import { after, dies, permitted, plays, text, words } from './scripts.ts';

const response = (status: string, more: object = {}) => ({
  id: 'resp_1',
  object: 'response',
  created_at: 1_700_000_000,
  model: 'tiny',
  status,
  error: null,
  output: [] as object[],
  parallel_tool_calls: true,
  tools: [],
  ...more,
});
const textPart = { type: 'output_text', text, annotations: [] };
const item = (status: string, content: object[]) => ({
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  status,
  content,
});
const done = response('completed', {
  output: [item('completed', [textPart])],
  usage: { input_tokens: 3, output_tokens: 2, total_tokens: 5 },
});

/** A backend's events, numbered and named. */
function events(...all: readonly object[]): string[] {
  return all.map((json, n) => {
    const event = { sequence_number: n, ...json } as unknown as { type: string };
    return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
  });
}
const at = { item_id: 'msg_1', output_index: 0, content_index: 0 };
const begin = [
  { type: 'response.created', response: response('in_progress') },
  { type: 'response.in_progress', response: response('in_progress') },
  { type: 'response.output_item.added', output_index: 0, item: item('in_progress', []) },
  { type: 'response.content_part.added', ...at, part: { ...textPart, text: '' } },
];
const deltas = words.map((delta) => ({ type: 'response.output_text.delta', ...at, delta, logprobs: [] }));
const end = [
  { type: 'response.output_text.done', ...at, text, logprobs: [] },
  { type: 'response.content_part.done', ...at, part: textPart },
  { type: 'response.output_item.done', output_index: 0, item: item('completed', [textPart]) },
  { type: 'response.completed', response: done },
];
const all = events(...begin, ...deltas, ...end);

/** `/v1/responses` by the openai package, against a backend that speaks it itself. */
export function responsesFacts(door: () => Door): void {
  describe('the openai package on /v1/responses', () => {
    const model = 'respondent';
    let backend: Backend;
    before(async () => {
      backend = await door().publishSpeaking(model, ['chat', 'responses']);
    });
    const client = (): OpenAI => openAiAt({ ...door(), baseUrl: door().hurriedUrl });
    const params = { model, input: 'hi' };

    it('gets a whole response', async () => {
      backend.once(answers(200, { ...done, unknown_field: 1 }));
      const answer = await client().responses.create({ ...params, instructions: 'Be brief.', store: false });
      expect(answer).to.include({ id: 'resp_1', model, status: 'completed', unknown_field: 1 });
      expect(answer.output_text).to.equal(text);
      const request = backend.requests.findLast(({ method }) => method === 'POST');
      expect(request).to.include({ path: '/v1/responses' });
      expect(request?.json).to.deep.equal({
        model: 'tiny',
        input: 'hi',
        instructions: 'Be brief.',
        store: false,
      });
    });

    for (const [when, script] of Object.entries({
      'at once': plays(...all),
      'after a long silence': plays(after(HURRIED_MS * 3.5), ...all),
      'with a long silence in it': plays(...all.slice(0, 5), after(HURRIED_MS * 3.5), ...all.slice(5)),
    })) {
      it(`streams one that comes ${when}, in numbered events, by iterator and by helper`, async () => {
        backend.once(script);
        backend.once(script);
        let got = '';
        let last = -1;
        let final: string | undefined;
        for await (const event of await client().responses.create({ ...params, stream: true })) {
          expect(event.sequence_number).to.be.greaterThan(last);
          last = event.sequence_number;
          if (event.type === 'response.output_text.delta') got += event.delta;
          if (event.type === 'response.completed') final = event.response.output_text;
          if ('response' in event) expect(event.response.model).to.equal(model);
        }
        expect(got).to.equal(text);
        expect(last).to.be.at.least(all.length - 1);
        expect(final ?? text).to.equal(text);
        const helped = await client().responses.stream(params).finalResponse();
        expect([helped.output_text, helped.status, helped.model]).to.deep.equal([text, 'completed', model]);
      });
    }

    it('is told of a stream that breaks', async () => {
      backend.once(plays(...all.slice(0, 5), permitted, dies));
      const seen: string[] = [];
      const thrown = await thrownBy(async () => {
        for await (const event of await client().responses.create({ ...params, stream: true })) {
          seen.push(event.type);
          if (event.type === 'response.output_text.delta') backend.release();
          if (event.type === 'response.failed' || event.type === 'error') throw new TypeError('it said so');
        }
      });
      expect(thrown).to.be.instanceOf(Error);
      expect(seen).to.not.include('response.completed');
    });

    it('is refused what needs an earlier answer to be kept, with the fault named', async () => {
      for (const more of [
        { previous_response_id: 'resp_0' },
        { conversation: 'conv_0' },
        { background: true },
      ]) {
        const thrown = await thrownBy(() => client().responses.create({ ...params, ...more }));
        expect(thrown)
          .to.be.instanceOf(OpenAI.BadRequestError)
          .and.to.include({ param: Object.keys(more)[0] });
      }
    });
  });
}
