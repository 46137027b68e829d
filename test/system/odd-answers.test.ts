import { expect } from 'chai';
import { answers, chats, sends, startBackend, type Backend, type Script } from '../support/backend.ts';
import { startSystem, transports, until, type System, type TransportKind } from '../support/system.ts';

const messages = [{ role: 'user', content: 'hi' }];
const chunk = (delta: object, finish_reason: string | null = null, more: object = {}): string =>
  JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, finish_reason }],
    ...more,
  });
const role = chunk({ role: 'assistant', content: '' });
const hello = chunk({ content: 'Hello' });
const stop = chunk({}, 'stop');
const of = (...events: string[]): string => events.map((data) => `data: ${data}\n\n`).join('');
const whole = (more: object = {}): object => ({
  id: 'c',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
  ...more,
});
const wrapped = (data: unknown): string => JSON.stringify({ code: 0, message: 'success', data });
/** What is asked for as a stream, and what whole. */
const either =
  (streamed: string, body: object | string, status = 200): Script =>
  (exchange) =>
    exchange.request.json?.['stream'] === true ? sends(streamed)(exchange) : answers(status, body)(exchange);
const response = (type: string, more: object = {}): string =>
  JSON.stringify({
    type,
    sequence_number: 0,
    response: { id: 'r', object: 'response', status: 'completed', ...more },
  });

/** Each as it was seen (test/core/judge has where). */
const answered: Record<string, Script> = {
  together: either(of(role, hello + stop, '[DONE]'), of(role, hello + stop, '[DONE]')),
  wrapped: either(of(wrapped(JSON.parse(hello)), wrapped(JSON.parse(stop))), wrapped(whole())),
  chunk: either(of(hello, stop), {
    id: 'c',
    choices: [{ index: 0, delta: { content: 'Hello' }, finish_reason: 'stop' }],
  }),
  cloudflare: either(of(hello, stop), { result: whole(), success: true, errors: [], messages: [] }),
  done: either(of(role, hello, '[DONE]'), whole()),
  accounted: either(
    of(role, hello, JSON.stringify({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } })),
    whole(),
  ),
};
const pretty = JSON.stringify(
  { error: { code: 400, message: 'A {sentence} of its own', status: 'INVALID' } },
  null,
  2,
);
/** Of these nothing was to be seen before they failed, so another member answers. */
const passedOn: Record<string, Script> = {
  overloaded: either(
    of(role, '{"error":{"type":"overloaded_error","message":"Overloaded"}}'),
    '{"error":"overloaded"}',
  ),
  broken: ({ response: res, request, drop }) => {
    if (request.json?.['stream'] !== true) return drop();
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(of(role), () => drop());
  },
  native: either(
    of(
      role,
      JSON.stringify({
        choices: [{ index: 0, delta: {}, finish_reason: 'stop', native_finish_reason: 'network_error' }],
      }),
    ),
    {
      choices: [
        { index: 0, message: { content: '' }, finish_reason: 'stop', native_finish_reason: 'network_error' },
      ],
    },
  ),
  nan: answers(500, { error: 'failed to encode response: json: unsupported value: NaN' }),
  nothing: either(of(role, '[DONE]'), { choices: [{ index: 0, message: null, finish_reason: 'stop' }] }),
};

const wayNames = ['whole', 'streamed', 'later'] as const;
type Way = (typeof wayNames)[number];
const ofResponses = new Set(['silent', 'unended']);

describe('answers as they are in the world, through the door', function () {
  this.timeout(90_000);
  let t: System;
  let odd: Backend;
  let good: Backend;
  const scripts: Record<string, Script> = {
    ...answered,
    ...passedOn,
    pretty: either(of(role, hello) + pretty, pretty, 200),
    cut: sends(of(role, hello)),
    one: (exchange) =>
      exchange.request.body.includes('spoil')
        ? answers(500, { error: 'failed to encode response: json: unsupported value: NaN' })(exchange)
        : either(of(hello, stop), whole())(exchange),
    guarded: (exchange) => answers(246, whole({ hook_results: { before_request_hooks: [] } }))(exchange),
    silent: either(
      of(
        response('response.created', { status: 'in_progress' }),
        response('response.completed', { output: [] }),
      ),
      {
        ...{ object: 'response', status: 'completed', output: [] },
      },
    ),
    unended: either(
      of(
        response('response.created', { status: 'in_progress', output: [] }),
        '{"type":"response.output_text.delta","output_index":0,"sequence_number":1,"delta":"Hello"}',
        '[DONE]',
      ),
      {
        object: 'response',
        status: 'completed',
        output: [{ type: 'message', content: [{ type: 'output_text', text: 'Hello' }] }],
      },
    ),
  };
  const names = Object.keys(scripts);
  const hasSibling = new Set([...Object.keys(passedOn), 'silent']);

  before(async () => {
    t = await startSystem();
    [odd, good] = [await startBackend(), await startBackend()];
    odd.operations = ['chat', 'responses'];
    odd.models.push(...names);
    odd.reply((exchange) => scripts[String(exchange.request.json?.['model'])]?.(exchange));
    good.operations = ['chat', 'responses'];
    good.reply((exchange) =>
      exchange.request.path.endsWith('/responses')
        ? either(
            of(
              response('response.completed', {
                output: [{ type: 'message', content: [{ type: 'output_text', text: 'Hello' }] }],
              }),
            ),
            {
              object: 'response',
              status: 'completed',
              output: [{ type: 'message', content: [{ type: 'output_text', text: 'Hello' }] }],
            },
          )(exchange)
        : chats(['Hello'])(exchange),
    );
    for (const transport of transports) {
      const named = (name: string) => ({ poolName: `${name}-${transport}`, maxConcurrency: 4 });
      await t.startWorker(
        names.map((name) => ({
          ...named(name),
          name: `${name}-odd-${transport}`,
          model: name,
          backend: odd,
        })),
        { transport },
      );
      await t.startWorker(
        [...hasSibling].map((name) => ({ ...named(name), name: `${name}-good-${transport}`, backend: good })),
        { transport },
      );
      for (const name of names) {
        const [path, operation] = ofResponses.has(name)
          ? (['/v1/responses', 'responses'] as const)
          : (['/v1/chat/completions', 'chat'] as const);
        const calls = wayNames.map((way) => ways(path, operation)[way](`${name}-${transport}`));
        asked.set(`${name}-${transport}`, Promise.allSettled(calls));
      }
    }
  });
  after(async () => {
    await t.close();
    await Promise.all([odd.close(), good.close()]);
  });

  interface Told {
    status: number;
    text: string;
  }
  const readOf = async (answer: Response): Promise<Told> => ({
    status: answer.status,
    text: await answer.text(),
  });
  /** Whole, streamed, and of a task that nobody waits for. */
  const ways = (path: string, operation: string): Record<Way, (model: string) => Promise<Told>> => {
    const request = { messages, input: 'hi' };
    return {
      whole: async (model) => readOf(await t.call('POST', path, { body: { model, ...request } })),
      streamed: async (model) =>
        readOf(await t.call('POST', path, { body: { model, ...request, stream: true } })),
      later: async (llm) => {
        const made = await t.call('POST', '/api/v1/tasks', { body: { llm, operation, request } });
        const { id } = (await made.json()) as { id: string };
        const task = await until(
          () => t.task(id),
          ({ status }) => status === 'completed' || status === 'error',
          30_000,
        );
        return { status: task.error ? 500 : 200, text: JSON.stringify(task.response ?? task.error) };
      },
    };
  };
  /** Each model by each way over each transport, all at once: who waits for a row waits for seconds. */
  const asked = new Map<string, Promise<PromiseSettledResult<Told>[]>>();
  const each = async (
    transport: TransportKind,
    name: string,
    check: (answer: Told, way: string) => void,
  ): Promise<void> => {
    const results = (await asked.get(`${name}-${transport}`)) ?? [];
    expect(results).to.have.length(3);
    results.forEach((result, n) => {
      if (result.status === 'rejected') throw result.reason;
      check(result.value, wayNames[n] ?? '');
    });
  };
  const isHello = ({ status, text }: Told, way: string): void => {
    expect(status, `${way}: ${text}`).to.equal(200);
    expect(text, way).to.include('Hello').and.to.not.include('"error":{');
  };
  for (const transport of transports) {
    describe(`over ${transport}`, () => {
      for (const name of [...Object.keys(answered), 'guarded'])
        it(`are answers: ${name}`, () => each(transport, name, isHello));

      it('are answers: a response that ends with [DONE] alone', () =>
        each(transport, 'unended', (one, way) => {
          isHello(one, way);
          if (way === 'streamed') expect(one.text).to.include('"type":"response.completed"');
        }));

      for (const name of Object.keys(passedOn))
        it(`are those of another where nothing was to be seen: ${name}`, async () => {
          await each(transport, name, isHello);
        });

      it('are those of another where a response was refused without a word', () =>
        each(transport, 'silent', isHello));

      it('are none where they end without a word, however they were asked for', () =>
        each(transport, 'cut', ({ status, text }, way) => {
          expect(text, way)
            .to.match(/upstream_error|backend_incomplete/)
            .and.to.include('The backend ended');
          // What was not shown yet goes back, and nobody else is there: then it has a status.
          expect(way === 'streamed' ? [200, 502] : [way === 'whole' ? 502 : 500], way).to.include(status);
          if (way === 'streamed') expect(text).to.not.include('[DONE]');
        }));

      it('are refusals where one text came to no number, and there for the next', async () => {
        const model = `one-${transport}`;
        const body = { model, messages: [{ role: 'user', content: 'spoil' }] };
        for (const stream of [false, true]) {
          const spoilt = await readOf(
            await t.call('POST', '/v1/chat/completions', { body: { ...body, stream } }),
          );
          expect([spoilt.status, spoilt.text]).to.have.property('0', 400);
          expect(spoilt.text).to.include('unsupported value: NaN').and.to.include('no_capable_member');
        }
        isHello(await ways('/v1/chat/completions', 'chat').whole(model), 'the next');
      });

      it('keep the sentence of an error that is written over several lines', () =>
        each(transport, 'pretty', ({ status, text }, way) => {
          expect(text, way).to.include('A {sentence} of its own');
          expect(status, way).to.equal(way === 'streamed' ? 200 : way === 'whole' ? 400 : 500);
          if (way === 'streamed') expect(text).to.include('Hello').and.to.not.include('[DONE]');
        }));
    });
  }

  describe('at their end', () => {
    it('have been asked of the odd one, each at least once', async () => {
      const notAsked = (): string[] => {
        const models = odd.requests
          .filter(({ method }) => method === 'POST')
          .map(({ json }) => json?.['model']);
        return names.filter((name) => !models.includes(name));
      };
      // Which of two members takes a task is chance: those that its sibling had are asked for again.
      for (let tries = 0; notAsked().length > 0 && tries < 50; tries += 1)
        for (const name of notAsked()) {
          const way = ofResponses.has(name)
            ? ways('/v1/responses', 'responses')
            : ways('/v1/chat/completions', 'chat');
          isHello(await way.whole(`${name}-redis`), name);
        }
      expect(notAsked()).to.deep.equal([]);
    });
  });
});
