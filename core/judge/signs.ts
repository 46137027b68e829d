import type { ErrorCode } from '../errors.ts';
import type { Reason } from './parts/reason.ts';
import {
  badKey,
  beyondCount,
  beyondModel,
  beyondParam,
  beyondTemplate,
  callersOwn,
  cannotDo,
  crashed,
  holdersAffair,
  loading,
  noMoney,
  noSuchModel,
  notAllowed,
  otherAddress,
  otherOperation,
  refusedContent,
  tooLong,
  tooMany,
  unreadInput,
  untoldOutput,
} from './parts/sentences.ts';

/**
 * Whose fault an error of a backend is, and what becomes of the task. `caller`: what was sent cannot be answered,
 * and nobody else is asked. `owner`: what the member's owner chose (key, model, parameters, address) is wrong;
 * another member tries, and this one rests. `unable`: it has no such path; another tries, and this one goes on.
 * `later`: not yet; it is waited for. `broken`: it failed; another member tries, and this one rests.
 */
export type Blame = 'caller' | 'owner' | 'unable' | 'later' | 'broken';

/** Whose a request is: what its owner and we ourselves put into it, by name, is not the caller's fault where it is refused. */
export interface Chosen {
  params?: readonly string[];
  /** All that was sent, as JSON: what a backend repeats of it is not what the backend says. */
  sent?: string;
}

/** What is known of an error when it is judged. */
export interface Evidence {
  /** Of the answer; else the one that the reason names. */
  status: number;
  reason: Reason;
  /** Everything that is said, in one text. */
  text: string;
  /** Seconds that it asks to wait, by whichever way it says so. */
  asks: number | undefined;
  chosen: Chosen;
}

export interface Sign {
  /** As docs/providers.md lists it. */
  sign: string;
  /** Where it was seen. */
  seen: string;
  blame: Blame;
  code: ErrorCode;
  tooLong?: true;
  is: (evidence: Evidence) => boolean;
}

const textMatches =
  (pattern: RegExp) =>
  ({ text }: Evidence) =>
    pattern.test(text);
const among =
  (...statuses: number[]) =>
  ({ status }: Evidence) =>
    statuses.includes(status);

/**
 * The one table of errors, first match first. The content of an error says more than its envelope: a crash stays one
 * in a 400, a text that is too long stays one in a 500, a key that is wrong stays one in a stream.
 * docs/providers.md is tested against it.
 */
export const signs: readonly Sign[] = [
  {
    sign: '403, 412 or 446, and the text was flagged by a moderation or a guardrail',
    seen: 'OpenRouter (403), Portkey (446)',
    blame: 'caller',
    code: 'backend_rejected',
    is: (e) => [403, 412, 446].includes(e.status) && refusedContent.test(e.text),
  },
  {
    sign: '402, 412, or a sentence about quota, credits or billing',
    seen: 'OpenAI `insufficient_quota` (429), Anthropic (400), OpenRouter (402), Portkey and Fireworks (412)',
    blame: 'owner',
    code: 'backend_misconfigured',
    // What is over in moments is no bill that is due: Gemini says it of a minute's quota in the same words.
    is: (e) =>
      [402, 412].includes(e.status) ||
      (e.status < 500 && noMoney.test(e.text) && !(e.status === 429 && e.asks !== undefined)),
  },
  {
    sign: '401, 403, 407, or a sentence about an invalid key',
    seen: 'everywhere; Gemini says it with 400, Anthropic within a stream',
    blame: 'owner',
    code: 'backend_auth_failed',
    is: (e) =>
      [401, 407].includes(e.status) ||
      (e.status === 403 && !tooMany.test(e.text)) ||
      (e.status < 500 && badKey.test(e.text)),
  },
  {
    sign: 'a sentence that the account, its region or the version of its address may not',
    seen: 'Gemini and OpenAI (400), Azure `api-version`',
    blame: 'owner',
    code: 'backend_misconfigured',
    is: (e) => e.status < 500 && notAllowed.test(e.text),
  },
  {
    sign: '301 to 308, 421, 426, or a sentence that something else is at this address, or wants to be spoken to otherwise',
    seen: 'nginx and Go (400, plain HTTP where HTTPS is spoken), IIS `Invalid Hostname` (400), Kong and ngrok (404)',
    blame: 'owner',
    code: 'backend_misconfigured',
    is: (e) => isElsewhere(e.status) || (e.status < 500 && otherAddress.test(e.text)),
  },
  {
    sign: 'a sentence that there were too many requests',
    seen: 'Bedrock `ThrottlingException` (400), NVIDIA NIM (500), GraphQL gateways (200)',
    blame: 'later',
    code: 'too_many_requests',
    is: (e) => e.status !== 413 && tooMany.test(e.text),
  },
  {
    sign: 'the text is longer than the context',
    seen: 'llama.cpp and vLLM (400), TGI (422), TEI and GitHub Models (413), LocalAI (500)',
    blame: 'caller',
    code: 'backend_rejected',
    tooLong: true,
    // So many tokens a minute pass.
    is: (e) => e.status !== 429 && tooLong.test(e.text),
  },
  {
    sign: 'the model has crashed, could not be loaded, or memory ran out',
    seen: 'LM Studio (400), LocalAI and Ollama (500), TGI within a stream',
    blame: 'broken',
    code: 'backend_error',
    is: textMatches(crashed),
  },
  {
    sign: '429',
    seen: 'everywhere',
    blame: 'later',
    code: 'too_many_requests',
    is: (e) => e.status === 429 || (e.status === 400 && e.reason.status === 429),
  },
  {
    sign: '423, 425, 503, 529, or a sentence that a model is loading or a server overloaded',
    seen: 'llama.cpp and Hugging Face (503), Anthropic (529), LM Studio `Model unloaded` (400), TGI `overloaded`',
    blame: 'later',
    code: 'backend_not_ready',
    is: (e) =>
      ([423, 425, 503, 529].includes(e.status) && e.reason.code !== 'model_not_found') ||
      loading.test(e.text),
  },
  {
    sign: 'the model is not one for this operation',
    seen: 'OpenAI `not a chat model` (404), LM Studio and vLLM about embeddings (400)',
    blame: 'unable',
    code: 'backend_misconfigured',
    is: textMatches(otherOperation),
  },
  {
    sign: 'the model, or the way it is served, cannot do what was asked: tools, pictures, a format, so much at a time',
    seen: 'Ollama and vLLM `--enable-auto-tool-choice` (400), OpenRouter (404), Groq (413), llama.cpp `--jinja` (500)',
    blame: 'unable',
    code: 'no_capable_member',
    is: (e) => e.status < 502 && beyondModel.test(e.text) && !isChosen(e),
  },
  {
    sign: 'the model’s template takes no such messages; or a 5xx, and what was sent could not be read, or came to no number',
    seen: 'LM Studio (400), llama.cpp, vLLM and Ollama `unsupported value: NaN` (500), TGI (424)',
    blame: 'unable',
    code: 'no_capable_member',
    is: (e) => e.status < 502 && (beyondTemplate.test(e.text) || (!isRefusal(e) && unreadInput.test(e.text))),
  },
  {
    sign: 'a 5xx, and what the model made of this request could not be told: a call that is none, a token that there is not',
    seen: 'Ollama `error parsing tool call`, llama.cpp `Failed to parse input at pos`, vLLM `HarmonyError` (500)',
    blame: 'unable',
    code: 'backend_error',
    is: (e) => e.status < 502 && !isRefusal(e) && untoldOutput.test(e.text),
  },
  {
    sign: '413 of what stands before the backend: it says nothing of the text',
    seen: 'nginx `client_max_body_size`, Express `request entity too large`, axum and actix (TGI, TEI), Anthropic, API Gateway',
    blame: 'unable',
    code: 'no_capable_member',
    is: among(413),
  },
  {
    sign: 'the model is not there, or `param` is `model`',
    seen: 'vLLM and Ollama (404), OpenAI `model_not_found`, Azure `DeploymentNotFound`, LiteLLM (400)',
    blame: 'owner',
    code: 'backend_misconfigured',
    is: (e) =>
      e.reason.param === 'model' || (noSuchModel.test(e.text) && !cannotDo.test(e.text) && !isParam(e)),
  },
  {
    sign: 'a parameter, a value of one, or more of a thing, than this model or this backend takes',
    seen: 'OpenAI `unsupported_parameter` (400), Mistral `extra_forbidden` (422), Groq and Anthropic `max_tokens` (400), Scaleway (416), OpenAI of 5 `stop` (400)',
    blame: 'unable',
    code: 'no_capable_member',
    is: (e) =>
      [400, 404, 416, 422].includes(e.status) &&
      (beyondParam.test(e.text) || beyondCount.test(e.text)) &&
      !isChosen(e),
  },
  {
    sign: 'a 4xx about an account, a plan or terms, which only whoever holds the key has',
    seen: 'Volcengine `ModelNotOpen` (404), Groq `model_terms_required`, Anthropic usage limits, Hugging Face `Pro subscription` (400)',
    blame: 'owner',
    code: 'backend_misconfigured',
    is: (e) => e.status >= 400 && e.status < 500 && e.status !== 429 && holdersAffair.test(e.text),
  },
  {
    sign: '404, 405 or 501 of the path, not of something that the caller named',
    seen: 'FastAPI `{"detail":"Not Found"}`, llama.cpp `File Not Found`, Azure `Resource not found`',
    blame: 'unable',
    code: 'backend_misconfigured',
    is: (e) =>
      [405, 501].includes(e.status) ||
      /^unexpected endpoint or|^no route for (that|this) ur[il]\b/i.test(e.text) ||
      (e.status === 404 && !callersOwn.test(e.text)),
  },
  {
    sign: '406, 411, 414, 415, 428, 431: how it is spoken to, of which no caller knows',
    seen: 'proxies and gateways, of a header or an address',
    blame: 'unable',
    code: 'backend_misconfigured',
    is: among(406, 411, 414, 415, 428, 431),
  },
  {
    sign: '410',
    seen: 'Hugging Face, of a model that was withdrawn',
    blame: 'owner',
    code: 'backend_misconfigured',
    is: among(410),
  },
  {
    sign: '400 or 422 about a parameter that the owner’s rules or we have added',
    seen: 'OpenAI `unsupported_parameter`, Mistral (422) about `stream_options`',
    blame: 'owner',
    code: 'backend_misconfigured',
    is: (e) => [400, 422].includes(e.status) && isChosen(e),
  },
  {
    sign: '408, 424, 499',
    seen: 'OpenRouter, SageMaker, proxies',
    blame: 'broken',
    code: 'backend_error',
    is: among(408, 424, 499),
  },
  {
    sign: 'any other 4xx',
    seen: 'everywhere',
    blame: 'caller',
    code: 'backend_rejected',
    is: (e) => e.status >= 400 && e.status < 500,
  },
  {
    sign: 'anything else: 5xx, an error without a number',
    seen: 'everywhere',
    blame: 'broken',
    code: 'backend_error',
    is: () => true,
  },
];

/** Of what fits none of them. */
export const lastSign: Omit<Sign, 'is'> = { sign: '', seen: '', blame: 'broken', code: 'backend_error' };

const isElsewhere = (status: number): boolean =>
  (status >= 301 && status <= 308) || [421, 426].includes(status);

/** A 4xx says itself whose it is; SageMaker and TGI say 424 of what failed within. */
const isRefusal = ({ status }: Evidence): boolean => status >= 400 && status < 500 && status !== 424;

/** Whether an error is about a parameter other than the model, by what it says itself. */
const isParam = ({ reason: { param } }: Evidence): boolean => param !== undefined && param !== 'model';

function isChosen({ reason, text, chosen }: Evidence): boolean {
  const { params = [] } = chosen;
  if (reason.param !== undefined) return params.includes(reason.param.split('.')[0] ?? '');
  return params.some((name) => new RegExp(`(^|[^\\w])${escaped(name)}($|[^\\w])`).test(text));
}

const escaped = (name: string): string => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
