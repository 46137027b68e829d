import { askedFor, leastFor } from '../../../core/judge/asked.ts';
import type { Judging } from '../../../core/judge/stream.ts';
import { msFor, readingMs } from '../../../core/runtime/time-of-bytes.ts';
import { failed, type Failed } from '../failed.ts';
import { startPatience, wholeAnswerFactor, type Patience } from '../patience.ts';
import type { ForwardCall, Last, Reply } from '../provider.ts';
import { entireText } from './wire/entire.ts';
import type { Answer, Exchange } from './wire/exchange.ts';
import { failureOfStatus, failureOfThrown, type Refusal, failureOf } from './failure.ts';
import type { ParamRules } from './params.ts';
import {
  chosenParams,
  countsTokens,
  hasUsageOption,
  keyHeader,
  requestHeaders,
  requestText,
} from './request.ts';
import { scrubbed } from './scrub.ts';
import { StreamedAnswer } from './streamed.ts';
import type { Endpoints } from './url.ts';
import { isFault, judgeCount, judgeWhole } from '../../../core/judge/whole.ts';
const largestRefusalBytes = 1_000_000;
/** How long the words of a refusal are waited for: its status says enough. */
const refusalMs = 5_000;
/** How long the head of an answer may take from its first byte on, as long as silence may last at most. */
const headMs = 30_000;

export interface ForwardDeps {
  exchange: Exchange;
  endpoints: Endpoints;
  readKey: () => Promise<string | undefined>;
  params?: ParamRules | undefined;
  /** The headers that carry the key. Default: `authorization: Bearer …`. */
  keyHeaders?: (key: string | undefined) => Record<string, string>;
  /** What an answer with another status than 2xx means, where it is not what it says. */
  refused?: (refusal: Refusal, call: ForwardCall) => Failed | undefined;
  /** How long the backend may be silent before its first event, where that is not `stallMs`: it loads a model. */
  patienceMs?: (call: ForwardCall) => Promise<number>;
  /** Whether the backend has refused to be asked for usage. Written by `forward`, for the calls to come. */
  usageRefused?: boolean;
}

/** One request of a call, from the first byte to what its answer came to. */
interface Attempt {
  deps: ForwardDeps;
  call: ForwardCall;
  body: string;
  judging: Judging;
}

/** `LlmProvider.forward` against a backend over HTTP, each operation at its own path. */
export async function* forward(deps: ForwardDeps, call: ForwardCall): AsyncGenerator<Reply, void, undefined> {
  const asksForUsage = hasUsageOption(call) && deps.usageRefused !== true;
  const asking = attemptOf(deps, call, asksForUsage);
  if (!asking) return yield failed('invalid_json', 'The body is not a JSON object.');
  const last = yield* attempt(asking);
  const again = asksForUsage && refusesUsage(last, call) ? attemptOf(deps, call, false) : undefined;
  if (!again) return yield last;
  const second = yield* attempt(again);
  // Only then was it what we had added that kept it from answering.
  if (second.kind === 'end') deps.usageRefused = true;
  yield second;
}

function attemptOf(deps: ForwardDeps, call: ForwardCall, asksForUsage: boolean): Attempt | undefined {
  const body = requestText(call, { params: deps.params, asksForUsage });
  if (body === undefined) return undefined;
  const judging = {
    operation: call.operation,
    asked: () => askedFor(call.operation, call.body),
    least: () => leastFor(call.operation, call.body),
    chosen: { params: chosenParams(deps.params, asksForUsage), sent: call.body },
  };
  return { deps, call, body, judging };
}

/** Whether a request failed by the wish for usage that we have added to it, where its caller had none. */
function refusesUsage(last: Last, call: ForwardCall): boolean {
  if (last.kind !== 'failed' || last.blame !== 'owner') return false;
  return last.message.includes('stream_options') && !call.body.includes('"stream_options"');
}

async function* attempt(asking: Attempt): AsyncGenerator<Reply, Last> {
  const { deps, call } = asking;
  const patience = startPatience(call.signal);
  const opened: { answer?: Answer } = {};
  let last: Last | undefined;
  let key: string | undefined;
  const streamed = new StreamedAnswer(asking.judging, { call, patience });
  try {
    key = await deps.readKey();
    const answer = (opened.answer = await ask(asking, { patience, key }));
    if (answer.status < 200 || answer.status > 299) {
      patience.wait(Math.min(call.stallMs, refusalMs));
      const refusal = { ...answer, body: await answer.text(largestRefusalBytes) };
      call.signal.throwIfAborted();
      last = deps.refused?.(refusal, call) ?? failureOfStatus(refusal, asking.judging.chosen);
    } else if (call.streaming) last = yield* streamed.read(answer);
    else last = await wholeAnswer(answer, { call, judging: asking.judging, patience });
  } catch (thrown) {
    const failure = patience.failure();
    last = (yield* streamed.rescued(failure)) ?? failure ?? failureOfThrown(thrown);
  } finally {
    patience.end();
    opened.answer?.close(last?.kind === 'end' ? 'gently' : 'now'); // also when nobody reads on
  }
  return scrubbed(last, { key, url: deps.endpoints.models }); // not before the connection is let go of
}

async function ask(
  { deps, call, body }: Attempt,
  { patience, key }: { patience: Patience; key: string | undefined },
): Promise<Answer> {
  const firstMs = (await deps.patienceMs?.(call)) ?? call.stallMs;
  // A backend that is still being told what to do is not silent, nor is one that reads it.
  const askingMs = msFor(body.length) + readingMs(body.length);
  const silenceMs =
    askingMs + (call.streaming ? firstMs : Math.max(firstMs, call.stallMs * wholeAnswerFactor));
  patience.wait(silenceMs);
  return await deps.exchange({
    method: 'POST',
    url: countsTokens(call) ? deps.endpoints.countTokens : deps.endpoints.of(call.operation),
    headers: requestHeaders(call, (deps.keyHeaders ?? keyHeader)(key)),
    body,
    signal: patience.signal,
    heard: () => patience.wait(silenceMs),
    begun: () => patience.wait(Math.min(silenceMs, headMs)),
  });
}

interface Asked {
  call: ForwardCall;
  judging: Judging;
  patience: Patience;
}

/** The answer to a call that asked for all of it at once. @throws what reading throws. */
async function wholeAnswer(answer: Answer, { call, judging, patience }: Asked): Promise<Last> {
  const live = (): void => patience.wait(call.stallMs * wholeAnswerFactor); // bytes are life
  const body = await entireText(answer.bytes(live), { heard: live, signal: call.signal });
  const judged = countsTokens(call) ? judgeCount(body) : judgeWhole(body, judging);
  return isFault(judged) ? failureOf(judged) : { kind: 'end', status: 200, ...judged };
}
