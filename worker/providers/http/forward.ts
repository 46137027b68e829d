import type { Operation } from '../../../core/llm.ts';
import { readSseTogether } from '../../../core/sse.ts';
import { failed, type Failed } from '../failed.ts';
import { startPatience, wholeAnswerFactor, type Patience } from '../patience.ts';
import type { ForwardCall, Reply } from '../provider.ts';
import { jsonObject, watchEnding } from './ending.ts';
import { largestAnswerBytes, type Answer, type Exchange } from './exchange.ts';
import { failureOfErrorEvent, failureOfStatus, failureOfThrown, type Refusal } from './failure.ts';
import type { ParamRules } from './params.ts';
import { isErrorEvent, Passing } from './passing.ts';
import { countsTokens, keyHeader, requestHeaders, requestText } from './request.ts';
import { scrubbed } from './scrub.ts';
import type { Endpoints } from './url.ts';

const largestRefusalBytes = 1_000_000;

export interface ForwardDeps {
  exchange: Exchange;
  endpoints: Endpoints;
  readKey: () => Promise<string | undefined>;
  params?: ParamRules | undefined;
  /** The headers that carry the key. Default: `authorization: Bearer …`. */
  keyHeaders?: (key: string | undefined) => Record<string, string>;
  /** What an answer with another status than 2xx means, where it is not what it says. */
  refused?: (refusal: Refusal, call: ForwardCall) => Failed;
  /** How long the backend may be silent before its first event, where that is not `stallMs`: it loads a model. */
  patienceMs?: (call: ForwardCall) => Promise<number>;
}

/** `LlmProvider.forward` against a backend over HTTP, each operation at its own path. */
export async function* forward(deps: ForwardDeps, call: ForwardCall): AsyncGenerator<Reply, void, undefined> {
  const body = requestText(call, deps.params);
  if (body === undefined) return yield failed('invalid_json', 'The body is not a JSON object.');
  const patience = startPatience(call.signal);
  let answer: Answer | undefined;
  let last: Last | undefined;
  let key: string | undefined;
  try {
    const firstMs = (await deps.patienceMs?.(call)) ?? call.stallMs;
    patience.wait(call.streaming ? firstMs : Math.max(firstMs, call.stallMs * wholeAnswerFactor));
    key = await deps.readKey();
    answer = await deps.exchange({
      method: 'POST',
      url: countsTokens(call) ? deps.endpoints.countTokens : deps.endpoints.of(call.operation),
      headers: requestHeaders(call, (deps.keyHeaders ?? keyHeader)(key)),
      body,
      signal: patience.signal,
    });
    if (answer.status < 200 || answer.status > 299) {
      const refusal = { ...answer, body: await answer.text(largestRefusalBytes) };
      last = deps.refused?.(refusal, call) ?? failureOfStatus(refusal);
    } else if (call.streaming) last = yield* streamed(answer, call, patience);
    else last = whole(call, answer.status, await answer.text(largestAnswerBytes));
  } catch (thrown) {
    last = patience.failure() ?? failureOfThrown(thrown);
  } finally {
    patience.end();
    answer?.close(last?.kind === 'end' ? 'gently' : 'now'); // also when nobody reads on
  }
  yield scrubbed(last, { key, url: deps.endpoints.models }); // not before the connection is let go of
}

type Last = Exclude<Reply, { kind: 'event' | 'events' }>;

/** Passes the events on; returns what to say at the end. */
async function* streamed(answer: Answer, call: ForwardCall, patience: Patience): AsyncGenerator<Reply, Last> {
  if (/json|html/i.test(answer.contentType)) {
    return failed('backend_error', 'The backend answered without a stream though one was asked for.');
  }
  const passing = new Passing(call.operation);
  for await (const sent of readSseTogether(answer.bytes())) {
    const { events, last } = passing.pass(sent);
    if (events.length > 0) {
      patience.rest(); // whoever takes the events may take its time
      yield { kind: 'events', data: events };
      patience.wait(call.stallMs);
    }
    if (last === 'done') break;
    if (last) return last;
  }
  const { watch } = passing;
  if (!watch.complete()) {
    return failed('backend_incomplete', 'The backend ended its stream before it had finished the answer.');
  }
  return { kind: 'end', status: answer.status, ...watch.ending() };
}

function whole(call: ForwardCall, status: number, body: string | undefined): Last {
  const answer = jsonObject(body ?? '');
  if (!answer || body === undefined) {
    return failed('backend_error', 'The backend answered with something that is not a JSON object.');
  }
  if (isErrorEvent(answer)) return failureOfErrorEvent(answer, body);
  if (countsTokens(call)) return { kind: 'end', status, body };
  const part = parts[call.operation];
  if (!Array.isArray(answer[part])) {
    return failed('backend_error', `The backend answered without ${part}.`);
  }
  const watch = watchEnding(call.operation);
  watch.see(answer);
  return { kind: 'end', status, body, ...watch.ending() };
}

/** The list that a whole answer to each operation has. */
const parts: Readonly<Record<Operation, string>> = {
  chat: 'choices',
  completions: 'choices',
  embeddings: 'data',
  responses: 'output',
  messages: 'content',
};
