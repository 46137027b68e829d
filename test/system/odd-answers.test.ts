import { expect } from 'chai';
import { answers, chats, sends, startBackend, type Backend, type Script } from '../support/backend.ts';
import { wayNames, waysOf, type Told, type Way } from '../support/each-way.ts';
import * as seen from '../support/seen-answers.ts';
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

const ofResponses = new Set(['silent', 'unended']);

/** Of these nothing is held against their member, so one has them all. */
const saying: Record<string, Script> = {
  ...seen.answered,
  ...Object.fromEntries(Object.entries(seen.refused).map(([name, [, , script]]) => [name, script])),
};
/** Of these a member rests, so each has one of its own. */
const resting: Record<string, Script> = {
  ...seen.passedOn,
  ...Object.fromEntries(Object.entries(seen.broken).map(([name, rest]) => [name, seen.breaks(rest)])),
};
/** What its owner is told of an address, of members that nobody stands beside. */
const elsewhere = [
  ['nginx: plain HTTP', 'alone-plain', 'plain HTTP request was sent to HTTPS port'],
  ['a page to log in at', 'alone-page', 'Log in'],
] as const;
const poolOf = (name: string, transport: TransportKind): string => {
  const at = Object.keys(resting).indexOf(name);
  return at < 0 ? `one-${transport}` : `resting-${String(at)}-${transport}`;
};

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
    odd.models.push(...names, ...Object.keys(resting), 'one');
    odd.reply((exchange) => {
      const { json } = exchange.request;
      const model = String(json?.['model']);
      const messages = JSON.stringify(json?.['messages']);
      const name =
        model === 'one' && Object.keys(saying).find((one) => messages.includes(JSON.stringify(one)));
      return (name ? saying[name] : (scripts[model] ?? resting[model]))?.(exchange);
    });
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
      const rests = (name: string) => ({ poolName: poolOf(name, transport), maxConcurrency: 4 });
      await t.startWorker(
        [
          ...names.map((name) => ({
            ...named(name),
            name: `${name}-odd-${transport}`,
            model: name,
            backend: odd,
          })),
          ...Object.keys(resting).map((name) => ({
            ...rests(name),
            name: `${poolOf(name, transport)}-odd`,
            model: name,
            backend: odd,
          })),
          {
            ...{ name: poolOf('', transport), poolName: poolOf('', transport) },
            ...{ maxConcurrency: 64, model: 'one', backend: odd },
          },
          ...elsewhere.map(([model, alone]) => ({ name: `${alone}-${transport}`, model, backend: odd })),
        ],
        { transport },
      );
      await t.startWorker(
        [
          ...[...hasSibling].map((name) => ({
            ...named(name),
            name: `${name}-good-${transport}`,
            backend: good,
          })),
          ...Object.keys(seen.passedOn).map((name) => ({
            ...rests(name),
            name: `${poolOf(name, transport)}-good`,
            backend: good,
          })),
        ],
        { transport },
      );
      for (const name of [...Object.keys(saying), ...Object.keys(seen.passedOn)]) {
        const request = { messages: [{ role: 'user', content: name }] };
        const chat = waysOf(t, { path: '/v1/chat/completions', operation: 'chat', request });
        const calls = wayNames.map((way) => {
          const call = () => chat[way](poolOf(name, transport));
          return way === 'later' ? call() : inTurn(call);
        });
        asked.set(`${name}-${transport}`, Promise.allSettled(calls));
      }
      for (const name of names) {
        const [path, operation] = ofResponses.has(name)
          ? (['/v1/responses', 'responses'] as const)
          : (['/v1/chat/completions', 'chat'] as const);
        const calls = wayNames.map((way) => {
          const call = () => ways(path, operation)[way](`${name}-${transport}`);
          return way === 'later' ? call() : inTurn(call);
        });
        asked.set(`${name}-${transport}`, Promise.allSettled(calls));
      }
    }
  });
  after(async () => {
    await t.close();
    await Promise.all([odd.close(), good.close()]);
  });

  const ways = (path: string, operation: string): Record<Way, (model: string) => Promise<Told>> =>
    waysOf(t, { path, operation, request: { messages, input: 'hi' } });
  const turns = Array.from({ length: 6 }, () => Promise.resolve<unknown>(undefined));
  let turn = 0;
  /** A few at once: more have their callers wait for longer than what is tried here takes. */
  const inTurn = async (call: () => Promise<Told>): Promise<Told> => {
    const at = (turn += 1) % turns.length;
    const mine = (turns[at] ?? Promise.resolve()).then(call);
    turns[at] = mine.catch(() => undefined);
    return mine;
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
          const spoilt = await t.call('POST', '/v1/chat/completions', { body: { ...body, stream } });
          expect(spoilt.status).to.equal(400);
          expect(await spoilt.text())
            .to.include('unsupported value: NaN')
            .and.to.include('no_capable_member');
        }
        isHello(await ways('/v1/chat/completions', 'chat').whole(model), 'the next');
      });

      for (const name of Object.keys(seen.answered))
        it(`are answers: ${name}`, () =>
          each(transport, name, (one, way) => {
            isHello(one, way);
            if (way === 'streamed')
              expect(one.text)
                .to.include('[DONE]')
                .and.to.match(/"finish_reason":"(stop|tool_calls)"/);
          }));

      for (const name of Object.keys(seen.passedOn))
        it(`are those of another: ${name}`, () => each(transport, name, isHello));

      for (const [name, [status, says]] of Object.entries(seen.refused))
        it(`are refusals, in their backend’s words: ${name}`, () =>
          each(transport, name, (one, way) => {
            expect(one.text, way).to.include(says);
            // Who has waited for a while was told that it goes on.
            const isLate = way === 'streamed' && one.status === 200 && one.text.includes('"error":{');
            if (!isLate) expect(one.status, way).to.equal(way === 'later' ? 500 : status);
          }));

      for (const name of Object.keys(seen.broken))
        it(`are none behind the first word: ${name}`, async () => {
          const body = { model: poolOf(name, transport), messages, stream: true };
          const answer = await t.call('POST', '/v1/chat/completions', { body });
          expect(await answer.text())
            .to.include('Hello')
            .and.to.include('"code":"upstream_error"')
            .and.to.not.include('[DONE]');
        });

      it('tell their owner that something else is at the address', async () => {
        for (const [, alone, says] of elsewhere) {
          const model = `${alone}-${transport}`;
          const answer = await t.call('POST', '/v1/chat/completions', { body: { model, messages } });
          expect([answer.status, await answer.text()], alone).to.have.property('0', 502);
          const llm = await until(
            () => t.llm(model),
            ({ misconfigured }) => misconfigured != null,
          );
          expect(llm.misconfigured).to.include(says);
        }
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
