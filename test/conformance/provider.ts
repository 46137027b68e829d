/**
 * What every provider must do (worker/providers/provider.ts). A provider's own test file calls
 * `conformsAsProvider` with a way to open it; the facts of real backends over HTTP are in backend-facts.ts.
 */
import { expect } from 'chai';
import { McpctlError } from '../../core/errors.ts';
import { asForward } from '../../worker/providers/adapt.ts';
import type { ForwardCall, LlmProvider, Reply } from '../../worker/providers/provider.ts';

export interface Subject {
  provider: LlmProvider;
  model: string;
  /** A question that is answered in several pieces, and then ends by itself. */
  question: string;
  close(): Promise<void>;
}

type Event = Extract<Reply, { kind: 'event' | 'events' }>;
export type Last = Exclude<Reply, Event>;

const never = new AbortController().signal;

export function callOf(call: Partial<ForwardCall> & { question?: string }): ForwardCall {
  const { question = 'Hi', streaming = true, ...rest } = call;
  const body = JSON.stringify({
    model: 'as-asked',
    messages: [{ role: 'user', content: question }],
    temperature: 0,
    stream: streaming,
  });
  return {
    operation: 'chat',
    body,
    streaming,
    headers: {},
    model: 'test-model',
    stallMs: 10_000,
    signal: new AbortController().signal,
    ...rest,
  };
}

/** Reads a whole answer, and checks its form: any number of events, then exactly one last reply. */
export async function readAll(replies: AsyncIterable<Reply>): Promise<{ events: string[]; last: Last }> {
  const events: string[] = [];
  let last: Last | undefined;
  for await (const reply of replies) {
    expect(last, 'a reply after the last one').to.equal(undefined);
    if (reply.kind === 'event' || reply.kind === 'events') events.push(...[reply.data].flat());
    else last = reply;
  }
  return { events, last: last ?? expect.fail('no last reply') };
}

interface Chunk {
  choices: { delta: { role?: string; content?: string | null }; finish_reason: string | null }[];
  usage?: { total_tokens: number };
}
const chunks = (events: readonly string[]): Chunk[] => events.map((data) => JSON.parse(data) as Chunk);
const textOf = (events: readonly string[]): string =>
  chunks(events)
    .map((chunk) => chunk.choices[0]?.delta.content ?? '')
    .join('');

export function conformsAsProvider(open: () => Promise<Subject>): void {
  let subject: Subject;
  beforeEach(async () => {
    subject = await open();
  });
  afterEach(() => subject.close());

  const forward = (call: Partial<ForwardCall>) =>
    asForward(subject.provider)(callOf({ model: subject.model, question: subject.question, ...call }));

  it('streams events in order and ends once, with finish reason and usage', async () => {
    const { events, last } = await readAll(forward({}));
    expect(last).to.include({ kind: 'end', status: 200, finishReason: 'stop' });
    expect(last).to.have.property('usage').that.has.property('totalTokens').greaterThan(0);
    expect(last).not.to.have.property('body');
    const seen = chunks(events);
    expect(seen[0]?.choices[0]?.delta.role).to.equal('assistant');
    expect(
      seen.flatMap((c) => c.choices.map((choice) => choice.finish_reason)).filter(Boolean),
    ).to.deep.equal(['stop']);
    expect(events).not.to.include('[DONE]');
    expect(textOf(events)).not.to.equal('');
  });

  it('answers whole with the same text', async () => {
    const streamed = await readAll(forward({}));
    const { events, last } = await readAll(forward({ streaming: false }));
    expect(events).to.deep.equal([]);
    expect(last).to.include({ kind: 'end', status: 200, finishReason: 'stop' });
    const body = JSON.parse((last.kind === 'end' && last.body) || '{}') as {
      choices: { message: { content: string } }[];
    };
    expect(body.choices[0]?.message.content.trim()).to.equal(textOf(streamed.events).trim());
  });

  it('ends soon after an abort in the middle, with one failure', async () => {
    const abort = new AbortController();
    let abortedAt = 0;
    const kinds: string[] = [];
    for await (const reply of forward({ signal: abort.signal })) {
      kinds.push(reply.kind === 'failed' ? reply.code : reply.kind);
      if (abortedAt === 0) abortedAt = performance.now();
      abort.abort();
    }
    expect(performance.now() - abortedAt).to.be.lessThan(2_500); // ten times the bound
    const last = kinds.at(-1);
    // A backend that had already sent all of it may end well.
    expect(last === 'task_cancelled' || last === 'end', last).to.equal(true);
    expect(kinds.filter((kind) => !kind.startsWith('event'))).to.have.length(1);
  });

  it('calls nobody when it is aborted already', async () => {
    const { events, last } = await readAll(forward({ signal: AbortSignal.abort() }));
    expect(events).to.deep.equal([]);
    expect(last).to.include({ kind: 'failed', code: 'task_cancelled', retryable: false });
  });

  it('lets its reader leave at the first event', async () => {
    for await (const reply of forward({})) {
      expect(reply.kind).to.match(/^events?$/);
      break;
    }
    const { last } = await readAll(forward({}));
    expect(last.kind).to.equal('end');
  });

  it('fails on a body that is no request, instead of throwing', async () => {
    for (const body of ['', '[]', '{"messages"', '\ud800', '"x"', 'null']) {
      const { last } = await readAll(forward({ body }));
      expect(last, body).to.have.property('kind', 'failed');
    }
  });

  it('completes a chat', async () => {
    const { provider, model, question } = subject;
    const messages = [{ role: 'user', content: question }];
    const result = await provider.complete({ model, messages, temperature: 0, signal: never });
    expect(result.content).not.to.equal('');
    expect(result.finishReason).to.equal('stop');
    expect(result.usage.totalTokens).to.be.greaterThan(0);
    const { last } = await readAll(forward({ streaming: false }));
    expect((last.kind === 'end' && last.usage?.completionTokens) || 0).to.equal(
      result.usage.completionTokens,
    );
  });

  it('streams deltas whose last one carries the finish reason, where it can', async () => {
    const { provider, model, question } = subject;
    if (!provider.stream) return;
    const messages = [{ role: 'user', content: question }];
    let content = '';
    const finishes: unknown[] = [];
    for await (const delta of provider.stream({ model, messages, temperature: 0, signal: never })) {
      content += delta.content ?? '';
      finishes.push(delta.finishReason);
    }
    expect(content).not.to.equal('');
    expect(finishes.at(-1)).to.equal('stop');
    expect(finishes.slice(0, -1).every((reason) => reason === undefined)).to.equal(true);
  });

  it('throws a catalogued error when a completion is aborted', async () => {
    const { provider, model, question } = subject;
    const messages = [{ role: 'user', content: question }];
    const thrown: unknown = await provider.complete({ model, messages, signal: AbortSignal.abort() }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(thrown).to.be.instanceOf(McpctlError);
  });

  it('says which models there are, and that it is available', async () => {
    expect(await subject.provider.isAvailable(never)).to.equal(true);
    const models = await subject.provider.listModels(never);
    expect(models.map((model) => model.id)).to.include(subject.model);
  });

  it('says what it can do, the same each time, and does nothing else', async () => {
    const { provider, model } = subject;
    const says = await provider.probe?.(model, never);
    expect(await provider.probe?.(model, never)).to.deep.equal(says);
    expect(await provider.modelsFingerprint?.(never)).to.equal(await provider.modelsFingerprint?.(never));
    const can = says ? (says.capabilities.operations ?? expect.fail('nothing was learnt')) : ['chat'];
    expect(can).to.include('chat');
    for (const operation of ['completions', 'embeddings', 'responses', 'messages'] as const) {
      const body = JSON.stringify({ prompt: 'Hi', input: 'Hi', messages: [], max_tokens: 1 });
      const { last } = await readAll(forward({ operation, body, streaming: false }));
      if (!can.includes(operation)) expect(last, operation).to.have.property('kind', 'failed');
    }
  });

  it('says in doubt that it is not available', async () => {
    expect(await subject.provider.isAvailable(AbortSignal.abort())).to.equal(false);
  });
}
