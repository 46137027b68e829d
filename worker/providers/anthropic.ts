import { jsonObject } from '../../core/judge/parts/reason.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { createAnthropicModels } from './anthropic/models.ts';
import { chatCompletion, finishReasonOf } from './anthropic/to-chat.ts';
import { createChunks } from './anthropic/to-chunks.ts';
import { toMessages, type Given } from './anthropic/to-messages.ts';
import { failed, type Failed } from './failed.ts';
import { chatOver } from './http/chat.ts';
import { createExchange } from './http/wire/exchange.ts';
import { forward, type ForwardDeps } from './http/forward.ts';
import type { BackendSettings } from './http/settings.ts';
import { endpointsAt } from './http/url.ts';
import type { ForwardCall, LlmProvider, Reply } from './provider.ts';
import { z } from 'zod';

/** The version of the protocol that is spoken where the caller says none. */
const version = { 'anthropic-version': '2023-06-01' };
/** The limit of an answer whose caller gives none: the model's own, up to the second; else the first. */
const usualTokens = 4_096;
const manyTokens = 16_384;

/**
 * Anthropic's API. `messages` goes through as the text it is, with its own events; `chat` is translated to it and
 * back. The rules for parameters are about the Messages body in both. No `warmup`: there is nothing to load.
 */
export function createAnthropicProvider(settings: BackendSettings): LlmProvider {
  const endpoints = endpointsAt(settings.url, 'anthropic');
  const exchange = createExchange(settings.dialling);
  const readKey = settings.readKey ?? (() => Promise.resolve(undefined));
  const deps = { exchange, endpoints, readKey, params: settings.params, keyHeaders };
  const asking = { exchange, headers: async () => ({ ...version, ...keyHeaders(await readKey()) }) };
  const models = createAnthropicModels({ asking, endpoints });
  const limits = (model: string): Limits => {
    const mostTokens = models.mostTokens(model);
    return { maxTokens: Math.min(mostTokens ?? usualTokens, manyTokens), mostTokens };
  };

  const answer = (call: ForwardCall): AsyncIterable<Reply> => {
    const spoken = { ...call, headers: { ...version, ...call.headers } };
    switch (call.operation) {
      case 'messages':
        return forward(deps, spoken);
      case 'chat':
        return chat(deps, spoken, limits(call.model));
      case 'completions':
      case 'embeddings':
      case 'responses':
        return one(failed('no_capable_member', `Anthropic does not offer ${call.operation}.`));
    }
  };
  return {
    name: settings.name,
    forward: answer,
    ...chatOver(answer, settings.stallMs),
    listModels: (signal) => models.models(signal),
    isAvailable: (signal) => models.answers(signal),
    probe: (model, signal) => models.kept.probe(model, signal),
    modelsFingerprint: (signal) => models.kept.fingerprint(signal),
  };
}

function keyHeaders(key: string | undefined): Record<string, string> {
  return key === undefined ? {} : { 'x-api-key': key };
}

async function* one(reply: Reply): AsyncGenerator<Reply> {
  yield reply;
}

type Limits = Omit<Given, 'streaming'>;

async function* chat(
  deps: ForwardDeps,
  call: ForwardCall,
  limits: Limits,
): AsyncGenerator<Reply, void, undefined> {
  const translated = toMessages(call.body, { ...limits, streaming: call.streaming });
  if ('fault' in translated) return yield failed('invalid_request', translated.fault);
  const { tools } = translated;
  const head = { created: Math.floor(systemClock.now() / 1_000), model: call.model, tools };
  const chunks = createChunks(head);
  for await (const reply of forward(deps, { ...call, operation: 'messages', body: translated.body })) {
    switch (reply.kind) {
      case 'event':
      case 'events': {
        const data = [reply.data].flat().flatMap((event) => chunks.of(jsonObject(event) ?? {}));
        if (data.length > 0) yield { kind: 'events', data };
        break;
      }
      case 'failed':
        yield asChatRefusal(reply);
        break;
      case 'end': {
        const finishReason = finishReasonOf(reply.finishReason);
        if (reply.body === undefined) {
          yield { kind: 'event', data: chunks.usage(reply.usage) };
          yield { ...reply, finishReason };
          break;
        }
        const body = chatCompletion(jsonObject(reply.body), { ...head, usage: reply.usage });
        yield body === undefined
          ? failed('backend_error', 'The backend answered without content.')
          : { ...reply, body, finishReason };
      }
    }
  }
}

const refusalSchema = z.looseObject({
  error: z.looseObject({ type: z.string().catch('invalid_request_error'), message: z.string() }),
});

/** Coding agents shorten a conversation on this code. */
const tooLong = /prompt is too long|exceeds? the context|context window/i;

/** A refusal whose body goes to the caller of a chat: in OpenAI's form. Any other failure is left as it is. */
function asChatRefusal(failure: Failed): Failed {
  if (failure.code !== 'backend_rejected' || failure.body === undefined) return failure;
  const refusal = refusalSchema.safeParse(jsonObject(failure.body)).data?.error;
  const message = refusal?.message ?? failure.message;
  const error = {
    message,
    type: refusal?.type ?? 'invalid_request_error',
    param: null,
    code: tooLong.test(message) ? 'context_length_exceeded' : null,
  };
  return { ...failure, body: JSON.stringify({ error }) };
}
