/*
 * What backends say, by what it means: the table that they are looked up in is signs.ts, and where each was seen stands
 * beside its case in the tests.
 */

/** Any of these, in upper or lower case. */
function anyOf(...patterns: string[]): RegExp {
  return new RegExp(patterns.join('|'), 'i');
}

/** A few characters of the same sentence: names of models have points too (`llama3.2`). */
function within(most: number): string {
  return String.raw`(?:(?!\.\s).){0,${String(most)}}?`;
}

/** The 404 of something that the caller named, not of the path or the model. */
export const callersOwn =
  /previous_response|response with id|no such file|\bfile[-_]|vector.?store|conversation|container|image_/i;
export const noSuchModel = anyOf(
  `model${within(120)}(not found|not exist|no longer|not (been )?(pulled|loaded|available|served)|is unavailable|deprecated|decommissioned|retired|was removed|identifier is invalid)`,
  String.raw`(no|unknown|invalid|unsupported) (such )?model\b|not a valid model|unavailable[_ ]model|no models? (is |are )?(currently )?loaded|suitable inference handler`,
  'model_not_found|model_not_supported|model_not_available|unable to access model|not supported by (any )?provider|^model: .* not_found_error',
  `only ${within(80)}allowed now, your model|specified function${within(60)}not found|not found for account|模型不存在`,
  `real modelID|on-demand throughput isn|have access to the model|DeploymentNotFound|deployment${within(80)}not exist|repository not found`,
  `\\bendpoint${within(20)}(does not exist|is (paused|stopped))|no .?model_name.? with|unknown provider\\b`,
  `\\bno (allowed )?(providers?|endpoints?|instances?) (are |is )?(available|found) for`,
);
export const otherOperation = anyOf(
  String.raw`not a (chat|completion|embedding)s? model|not supported (in the v1\/|(in|via|by|on) (the )?(chat|completions?|embeddings?|responses|messages)\b)`,
  String.raw`(does not|doesn't|not) support (the )?(chat|completions?|embeddings?|responses|generate|generation)( api)?\b`,
  'operation does not work with the specified model|default chat template|(no|without a) chat template|endpoint disabled for this model',
  `\\b(is|are) not for (chat|generat|embed)|(chat|completions?|embeddings?|responses) (is|are) disabled`,
);
/** What a model cannot do, or is not served to do, others may. */
export const beyondModel = anyOf(
  '(does not|doesn.t|not) support (tool|function|image|vision|audio|video|multimodal|json|structured|thinking|reasoning|logprobs|streaming)',
  '(image|audio|video|tool|function)s?( input| use| calling)? (is|are) not supported|at most [0-9]+ (image|audio|video)|not a multimodal model|missing data required for image',
  '(requires?|needs?) --[a-z]|requires --jinja|no endpoints found (that support|matching)|maximum allowed batch size',
  `(launch|start|run)${within(40)} with --[a-z]|only ${within(80)}supports? (tool|function|image)|unknown part type`,
  `request too large${within(120)}tokens per (min|day)`,
);
/** What one model, or one backend, does not take of what there is to set, others may. */
export const beyondParam = anyOf(
  String.raw`\b(is|are|was) (not |un)(supported|enabled|available|allowed|permitted) (with|by|for|on|in) (this|the|that|model)`,
  `not (be )?support(ed)?\\b${within(80)}(with|by|for|on|in) (this|the specified|the selected|model)`,
  `this model (does not|doesn.t|only|supports at most)|(does not|doesn.t|not) support (the )?(following )?param`,
  `(parameter|argument|property|value|field)s?${within(60)}(is |are )?(unsupported|not supported)|unsupported[_ ](parameter|value)`,
  'extra_forbidden|extra inputs are not permitted|UnsupportedParamsError|not enabled for model|handle the requested parameters',
  `incompatible with (tools|stream|response_format)|must be set to (true|false) for (non-?)?stream|features?${within(60)}not support`,
  `max_(completion_|output_|new_)?tokens${within(60)}(too large|is limited|> ?[0-9]+|valid range|less than or equal|above maximum|exceeds?)`,
  `valid range of max_|maximum allowed (number of )?(output )?tokens|exceeds? the (model.s )?(maximum|limit)${within(20)}(output|completion) tokens`,
  `cannot${within(40)}(for|with) this model|logprobs${within(40)}(max(imum)? allowed|not supported)|response_format.type. must be`,
);
/** More of a thing than one backend takes at a time, stops or tools: how many that is differs from one to the next. */
export const beyondCount = anyOf(
  String.raw`array_above_max_length|\b(array|list)( is)? too long|maximum item count|\btoo_long\b`,
  String.raw`\b(at most|max(imum)?( of)?|no more than|up to) \d+ (items?|elements?|entries|stops?|sequences?|tools?|functions?|choices?|messages?)\b`,
  String.raw`(stop|sequence|tool|function|message|item)s?\b[\w ]{0,30}(must be|is) (at most|no more than|less than|<=?) ?\d+`,
  String.raw`\b\d+ (stops?|sequences?|stop sequences|tools?|functions?|messages?|items?)[;,] ?(but )?the max(imum)?`,
  String.raw`max(imum)? (number|count) of (stop|stop sequences|sequences|tools?|functions?|messages?|items?)\b[\w ]{0,20}(is|:|=|of) ?\d+`,
);
/** What a model cannot do with a request is no news of the model. */
export const cannotDo = /(does not|doesn't|not) support\b/i;
export const tooLong = anyOf(
  'context_length_exceeded|exceed_context_size|string_above_max_length|tokens_limit_reached|max_model_len|max_seq_len|input tokens exceed',
  'maximum (context|model|prompt|input) length|longer than the (model|maximum)|(prompt|input|text)( .[0-9]+ tokens.)? is too (long|large)|input length and|n_keep .[0-9]+. >= n_ctx',
  "(reached|exceed(s|ed|ing)?) ((the|this|its|available|allowed|total|max(imum)?|model('?s)?) ){0,4}(context|token limit|tokens limit|number of tokens|input length)",
  `context length of only|input length${within(40)}exceed|range of input length|max_num_tokens|session_len`,
  `context (window|size|length)${within(40)}exceed|too many (input |prompt )?tokens|token count${within(40)}exceeds`,
  'prompt tokens? (is |are )?too long|sequence length is greater than|prompt too long|超长|(上下文|输入|提示词?)[^。]{0,20}(超过|超出)',
  `too big compared to|max(imum)? input (characters|chars|tokens) (is|are)|too large to process`,
  'than the context length|must have less than [0-9]+ tokens|max_new_tokens. must be <=|reduce the length of the (messages|prompt|input)',
);
export const refusedContent =
  /moderation|flagged|content_filter|content management policy|safety|guardrail|hook_results/i;
export const loading = anyOf(
  String.raw`(?<!\bno )model${within(80)}\b(is |being |still |currently )+(load|warm|start)|loading (the )?model|model unloaded|model is unloaded`,
  String.raw`warming up|\boverloaded\b|server is (starting|busy)|no slot available|at capacity|\bnot ready\b`,
  'queue is full|too busy|engine is not loaded|no (workers|instances) available|degraded function',
  'temporarily unavailable|^service unavailable|model is not running|no deployments? available|capacity[ _](temporarily )?exceeded',
  `not at ready state|scaled to zero|scaling up|is sleeping|^(please )?(try|retry)( again)?( later)?[.!]?$|ServerOverloaded`,
);
export const crashed =
  /^operation (was )?cancell?ed|^channel error|model has crashed|failed to load(?! (the )?(image|audio|video|media|picture|url|file|input))|(error|failed|failure|unable|cannot|could not)( to| while| when)? load(ing)? (the )?model|out of memory|OutOfMemory/i;
export const noMoney =
  /insufficient_(user_)?quota|used up your [^.]{0,40}(allocation|quota|credits)|exceeded (your current quota|(their|your) budget)|budget_exceeded|spending limit|unpaid|account (is |has been )?suspended|billing|credit balance|balance is insufficient|not enough balance|call volume quota|inference limit|good standing|arrearage|欠费|余额不足|insufficient (credits?|funds|balance)|payment required/i;
/** Too many at a time, which passes; not so much at a time that it never will (Groq's 413). */
export const tooMany =
  /throttlingexception|^(rate|token|request|concurrency)[ _-]?limit\.?$|too many requests|wait before trying again|rate[ _-]?limit(ed|_error|s? (was |is |has been )?(exceeded|reached|hit))\b|exceeded (a|the|your) (\w+ )?rate[ _-]?limit|request limit reached/i;
export const badKey =
  /\bauth_error\b|authfailure|authentication fail|failed to authenticate|^login fail|access token (is )?(invalid|expired)|missing x-auth-key|invalid[_ ]api[_ ]key|incorrect api key|api[_ ]key[_ ](not[_ ]valid|invalid)|api key (has )?expired|pass a valid api key|invalid x-api-key|authentication[_ ]error|invalid proxy server token|invalid subscription key/i;
export const notAllowed =
  /user location is not supported|(country|region)[^.]{0,40}not supported|organization (must be verified|has been restricted)|matching your data policy|api[ -]version[^.]{0,40}(not supported|unsupported|invalid)|unsupported api[ -]version/i;
/**
 * What only whoever holds the key has: an account, a plan, terms. A caller of ours knows nothing of them, in whatever
 * sentence they stand.
 */
export const holdersAffair = anyOf(
  String.raw`\b(your|this|the) (\w+ ){0,2}(account|organi[sz]ation|workspace|subscription|tenant|credentials?|api usage limits?)\b`,
  String.raw`\b(your|free|trial|current) plan\b|(requires?|needs?|without) an? (\w+ )?(subscription|plan|licen[cs]e)\b`,
  String.raw`\b(terms|licen[cs]e)( of \w+)? (acceptance|must be accepted|(have|has) not been accepted)|accept the (terms|licen[cs]e)`,
  String.raw`(not|n't) (been )?(activated|subscribed|entitled|enabled) (the|to|for) `,
);
/** What stands at an address, and is not the backend that its owner meant, or not spoken to as it must be. */
export const otherAddress =
  /plain http request was sent to (an? )?https|http request to an https server|invalid hostname|misdirected request|no route matched|err_ngrok|x-portkey-(config|provider)/i;
/** A template that takes no such messages is one model's: another puts the same ones together otherwise. */
export const beyondTemplate = anyOf(
  String.raw`\bjinja\b|(must|should) alternate|raise_exception|template (rendering )?error\b|\berror rendering\b|generate parser for this template`,
  '(successive|consecutive) (user|assistant|messages)|must (start with a thinking block|be passed back)',
  `tool call id was${within(60)}but must|reasoning_content${within(20)}(is )?missing`,
  `(failed|unable|cannot|could not) to (apply|render|parse|expand|execute)${within(30)}template|chat template${within(20)}(failed|error)`,
  String.raw`^template: |while executing \w+ at line|at row \d+, column \d+|no user query found in messages|empty grammar stack|failed to initialize samplers|system message must be (at the beginning|first)`,
);
/** What a backend made nothing of, of what one request brought: it reads those of others as before. */
export const unreadInput = anyOf(
  `cannot identify image|image: unknown format|(image|audio|video) (file )?is truncated|not enough image data|broken data stream`,
  `(failed|unable|cannot|could not|error)( to| while| in| when)? (load|decod|process|fetch|download|open|read|retriev|preprocess)\\w*${within(20)}(image|audio|video|media|multimodal|picture|data url|base64|inputs?\\b)`,
  `(invalid|incorrect|corrupt(ed)?|malformed|illegal|unsupported) (image|audio|video|base64|padding|data url)|incorrect padding|illegal base64|only base64 data is allowed`,
  `(failed|unable|cannot|could not) to (tokenize|encode|decode) (the )?(prompt|input|text|content)|invalid utf-?8|surrogates not allowed|type_error\\.[0-9]|parse_error\\.[0-9]|validationexception`,
  `(failed|unable|cannot|could not|error)( to)? (pars|convert|compil)\\w* (the )?(messages|grammar|json[ _]?schema|schema|tools|content|regex)|(grammar|schema) (compilation|conversion) (failed|error)`,
  `(unsupported|invalid|out of range) (json )?(value: [+-]?(nan|inf)|float values?)|out of range float|\\b(is|are|contains?|produced|to|in|got)${within(30)}\\bnan\\b|\\bnan (in|values?|detected|logits)|probability tensor contains`,
);
/** What a model made of one request, and its backend cannot tell: it may be another the next time. */
export const untoldOutput = anyOf(
  `(error|failed|failure|unable)( to)? (pars|decod)\\w*${within(30)}(tool|function)[ _-]?calls?|(tool|function)[ _-]?call${within(20)}pars(ing|e|er) (failed|error)`,
  String.raw`failed to parse (input at pos|(the )?(model.s )?(output|response|generation))|invalid diff: |finding less tool calls`,
  String.raw`harmonyerror|tokens remaining in message header|unexpected token \d+ while expecting|unexpected EOS while|expected \d+ output messages`,
  `failed to (sample|accept) (a )?(token|piece)|no (valid )?token (could be )?(sampled|found)`,
);
