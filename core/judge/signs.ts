import type { ErrorCode } from '../errors.ts';
import type { Reason } from './parts/reason.ts';

/**
 * Whose fault an error of a backend is, and what becomes of the task. `caller`: what was sent cannot be answered,
 * and nobody else is asked. `owner`: what the member's owner chose (key, model, parameters, address) is wrong;
 * another member tries, and this one rests. `unable`: it has no such path; another tries, and this one goes on.
 * `later`: not yet; it is waited for. `broken`: it failed; another member tries, and this one rests.
 */
export type Blame = 'caller' | 'owner' | 'unable' | 'later' | 'broken';

/** What its owner and we ourselves put into the request, by name: that a backend refuses it is not the caller's fault. */
export interface Chosen {
  params?: readonly string[];
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

const said =
  (pattern: RegExp) =>
  ({ text }: Evidence) =>
    pattern.test(text);
const among =
  (...statuses: number[]) =>
  ({ status }: Evidence) =>
    statuses.includes(status);

/** Any of these, in upper or lower case. */
function anyOf(...patterns: string[]): RegExp {
  return new RegExp(patterns.join('|'), 'i');
}

/** A few characters of the same sentence: names of models have points too (`llama3.2`). */
function within(most: number): string {
  return String.raw`(?:(?!\.\s).){0,${String(most)}}?`;
}

/** The 404 of something that the caller named, not of the path or the model. */
const callersOwn =
  /previous_response|response with id|no such file|\bfile[-_]|vector.?store|conversation|container|image_/i;
const noSuchModel = anyOf(
  `model${within(120)}(not found|not exist|no longer|not (been )?(pulled|loaded|available|served)|is unavailable|deprecated|decommissioned|retired|identifier is invalid)`,
  String.raw`(no|unknown|invalid|unsupported) (such )?model\b|not a valid model|no models? (is |are )?(currently )?loaded`,
  'model_not_found|model_not_supported|model_not_available|unable to access model|not supported by (any )?provider|^model: .* not_found_error',
  `real modelID|on-demand throughput isn|have access to the model|DeploymentNotFound|deployment${within(80)}not exist|endpoint is paused|repository not found`,
);
const otherOperation = anyOf(
  String.raw`not a (chat|completion|embedding)s? model|not supported in the v1\/`,
  String.raw`(does not|doesn't|not) support (the )?(chat|completions?|embeddings?|responses|generate|generation)( api)?\b`,
  'operation does not work with the specified model|default chat template|(no|without a) chat template|endpoint disabled for this model',
  `\\b(is|are) not for (chat|generat|embed)|(chat|completions?|embeddings?|responses) (is|are) disabled`,
);
/** What a model cannot do, or is not served to do, others may. */
const beyondModel = anyOf(
  '(does not|doesn.t|not) support (tool|function|image|vision|audio|video|multimodal|json|structured|thinking|reasoning|logprobs|streaming)',
  '(image|audio|video|tool|function)s?( input| use| calling)? (is|are) not supported|at most 0 images?|not a multimodal model|missing data required for image',
  '(requires?|needs?) --[a-z]|requires --jinja|no endpoints found (that support|matching)',
  `(launch|start|run)${within(40)} with --[a-z]|only ${within(80)}supports? (tool|function|image)`,
  `request too large${within(120)}tokens per (min|day)`,
);
/** What one model, or one backend, does not take of what there is to set, others may. */
const beyondParam = anyOf(
  String.raw`\b(is|are|was) (not |un)(supported|enabled|available|allowed|permitted) (with|by|for|on|in) (this|the|that|model)`,
  `not (be )?support(ed)?\\b${within(80)}(with|by|for|on|in) (this|the specified|the selected|model)`,
  `this model (does not|doesn.t|only|supports at most)|(does not|doesn.t|not) support (the )?(following )?param`,
  `(parameter|argument|property|value|field)s?${within(60)}(is |are )?(unsupported|not supported)|unsupported[_ ](parameter|value)`,
  'extra_forbidden|extra inputs are not permitted|UnsupportedParamsError|not enabled for model|handle the requested parameters',
  `max_(completion_|output_|new_)?tokens${within(60)}(too large|is limited|> ?[0-9]+|valid range|less than or equal|above maximum|exceeds?)`,
  `valid range of max_|maximum allowed (number of )?(output )?tokens|exceeds? the (model.s )?(maximum|limit)${within(20)}(output|completion) tokens`,
  `cannot${within(40)}(for|with) this model|logprobs${within(40)}(max(imum)? allowed|not supported)|response_format.type. must be`,
);
/** What a model cannot do with a request is no news of the model. */
const cannotDo = /(does not|doesn't|not) support\b/i;
const tooLong = anyOf(
  'context_length_exceeded|exceed_context_size|string_above_max_length|tokens_limit_reached|max_model_len|max_seq_len|input tokens exceed',
  'maximum (context|model|prompt|input) length|longer than the (model|maximum)|(prompt|input|text) is too (long|large)|input length and',
  "exceeds?( the)?( available| model'?s?| maximum)? (context|number of tokens|input length)|context length of only",
  `context (window|size|length)${within(40)}exceed|too many (input |prompt )?tokens|token count${within(40)}exceeds`,
  'than the context length|must have less than [0-9]+ tokens|max_new_tokens. must be <=|reduce the length of the (messages|prompt|input)',
);
const refusedContent =
  /moderation|flagged|content_filter|content management policy|safety|guardrail|hook_results/i;
const loading = anyOf(
  String.raw`(?<!\bno )model${within(80)}\b(is |being |still |currently )+(load|warm|start)|loading (the )?model|model unloaded|model is unloaded`,
  String.raw`warming up|\boverloaded\b|server is (starting|busy)|no slot available|at capacity|\bnot ready\b`,
  'temporarily unavailable|^service unavailable|model is not running|no deployments? available|capacity[ _](temporarily )?exceeded',
);
const crashed =
  /^operation (was )?cancell?ed|model has crashed|failed to load|could not load model|out of memory|OutOfMemory/i;
const noMoney =
  /insufficient_(user_)?quota|exceeded (your current quota|(their|your) budget)|budget_exceeded|spending limit|unpaid|account (is |has been )?suspended|billing|credit balance|insufficient (credits?|funds|balance)|payment required/i;
/** Too many at a time, which passes; not so much at a time that it never will (Groq's 413). */
const tooMany =
  /throttlingexception|too many requests|wait before trying again|rate[ _-]?limit(ed|_error)\b|request limit reached/i;
const badKey =
  /\bauth_error\b|invalid[_ ]api[_ ]key|incorrect api key|api[_ ]key[_ ](not[_ ]valid|invalid)|api key (has )?expired|pass a valid api key|invalid x-api-key|authentication_error/i;
const notAllowed =
  /user location is not supported|(country|region)[^.]{0,40}not supported|organization must be verified|api[ -]version[^.]{0,40}(not supported|unsupported|invalid)|unsupported api[ -]version/i;

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
    is: (e) => [401, 403, 407].includes(e.status) || (e.status < 500 && badKey.test(e.text)),
  },
  {
    sign: 'a sentence that the account, its region or the version of its address may not',
    seen: 'Gemini and OpenAI (400), Azure `api-version`',
    blame: 'owner',
    code: 'backend_misconfigured',
    is: (e) => e.status < 500 && notAllowed.test(e.text),
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
    is: said(tooLong),
  },
  {
    sign: 'the model has crashed, could not be loaded, or memory ran out',
    seen: 'LM Studio (400), LocalAI and Ollama (500), TGI within a stream',
    blame: 'broken',
    code: 'backend_error',
    is: said(crashed),
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
    is: said(otherOperation),
  },
  {
    sign: 'the model, or the way it is served, cannot do what was asked: tools, pictures, a format, so much at a time',
    seen: 'Ollama and vLLM `--enable-auto-tool-choice` (400), OpenRouter (404), Groq (413), llama.cpp `--jinja` (500)',
    blame: 'unable',
    code: 'no_capable_member',
    is: (e) => e.status < 502 && beyondModel.test(e.text) && !isChosen(e),
  },
  {
    sign: '413 of what stands before the backend: it says nothing of the text',
    seen: 'nginx `client_max_body_size`, Express `request entity too large`',
    blame: 'unable',
    code: 'no_capable_member',
    is: (e) => e.status === 413 && /^$|entity too large|payload too large/i.test(e.reason.message ?? ''),
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
    sign: 'a parameter, or a value of one, that this model or this backend does not take',
    seen: 'OpenAI `unsupported_parameter` (400), Mistral `extra_forbidden` (422), Groq and Anthropic `max_tokens` (400), Scaleway (416)',
    blame: 'unable',
    code: 'no_capable_member',
    is: (e) => [400, 404, 413, 416, 422].includes(e.status) && beyondParam.test(e.text) && !isChosen(e),
  },
  {
    sign: '404, 405 or 501 of the path, not of something that the caller named',
    seen: 'FastAPI `{"detail":"Not Found"}`, llama.cpp `File Not Found`, Azure `Resource not found`',
    blame: 'unable',
    code: 'backend_misconfigured',
    is: (e) =>
      [405, 501].includes(e.status) ||
      /^unexpected endpoint or/i.test(e.text) ||
      (e.status === 404 && !callersOwn.test(e.text)),
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
    sign: 'anything else: 3xx, 5xx, an error without a number',
    seen: 'everywhere',
    blame: 'broken',
    code: 'backend_error',
    is: () => true,
  },
];

/** Of what fits none of them. */
export const lastSign: Omit<Sign, 'is'> = { sign: '', seen: '', blame: 'broken', code: 'backend_error' };

/** Whether an error is about a parameter other than the model, by what it says itself. */
const isParam = ({ reason: { param } }: Evidence): boolean => param !== undefined && param !== 'model';

function isChosen({ reason, text, chosen }: Evidence): boolean {
  const { params = [] } = chosen;
  if (reason.param !== undefined) return params.includes(reason.param.split('.')[0] ?? '');
  return params.some((name) => new RegExp(`(^|[^\\w])${escaped(name)}($|[^\\w])`).test(text));
}

const escaped = (name: string): string => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
