import { readSse } from '../../../core/sse.ts';
import { failed } from '../failed.ts';
import { startPatience, wholeAnswerFactor, type Patience } from '../patience.ts';
import type { ForwardCall, Reply } from '../provider.ts';
import { jsonObject, watchEnding } from './ending.ts';
import { largestAnswerBytes, type Answer, type Exchange } from './exchange.ts';
import { failureOfErrorEvent, failureOfStatus, failureOfThrown } from './failure.ts';
import type { ParamRules } from './params.ts';
import { requestHeaders, requestText } from './request.ts';
import type { Endpoints } from './url.ts';

const largestRefusalBytes = 1_000_000;

export interface ForwardDeps {
  exchange: Exchange;
  endpoints: Endpoints;
  readKey: () => Promise<string | undefined>;
  params?: ParamRules | undefined;
}

/** `LlmProvider.forward` against an OpenAI-compatible backend. */
export async function* forward(deps: ForwardDeps, call: ForwardCall): AsyncGenerator<Reply, void, undefined> {
  const body = requestText(call, deps.params);
  if (body === undefined) return yield failed('invalid_json', 'The body is not a JSON object.');
  const patience = startPatience(call.signal);
  let answer: Answer | undefined;
  let last: Last | undefined;
  try {
    patience.wait(call.streaming ? call.stallMs : call.stallMs * wholeAnswerFactor);
    answer = await deps.exchange({
      method: 'POST',
      url: deps.endpoints.of(call.operation),
      headers: requestHeaders(call, await deps.readKey()),
      body,
      signal: patience.signal,
    });
    if (answer.status < 200 || answer.status > 299) {
      last = failureOfStatus({ ...answer, body: await answer.text(largestRefusalBytes) });
    } else if (call.streaming) last = yield* streamed(answer, call, patience);
    else last = whole(call, answer.status, await answer.text(largestAnswerBytes));
  } catch (thrown) {
    last = patience.failure() ?? failureOfThrown(thrown);
  } finally {
    patience.end();
    answer?.close(last?.kind === 'end' ? 'gently' : 'now'); // also when nobody reads on
  }
  yield last; // not before the connection is closed
}

type Last = Exclude<Reply, { kind: 'event' }>;

/** Passes the events on; returns what to say at the end. */
async function* streamed(answer: Answer, call: ForwardCall, patience: Patience): AsyncGenerator<Reply, Last> {
  if (/json|html/i.test(answer.contentType)) {
    return failed('backend_error', 'The backend answered without a stream though one was asked for.');
  }
  const watch = watchEnding(call.operation);
  for await (const { data } of readSse(answer.bytes())) {
    if (data === '[DONE]') break;
    if (data === '') continue;
    const event = jsonObject(data);
    if (!event) return failed('backend_error', 'The backend sent an event that is not a JSON object.');
    if (isErrorEvent(event)) return failureOfErrorEvent(event, data);
    watch.see(event);
    patience.rest(); // whoever takes the event may take its time
    yield { kind: 'event', data };
    patience.wait(call.stallMs);
  }
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
  const chosen = call.operation === 'chat' || call.operation === 'completions';
  if (chosen && !Array.isArray(answer['choices'])) {
    return failed('backend_error', 'The backend answered without choices.');
  }
  const watch = watchEnding(call.operation);
  watch.see(answer);
  return { kind: 'end', status, body, ...watch.ending() };
}

function isErrorEvent(event: Readonly<Record<string, unknown>>): boolean {
  if (event['type'] === 'error') return true;
  return Boolean(event['error']) && event['choices'] === undefined && event['object'] === undefined;
}
