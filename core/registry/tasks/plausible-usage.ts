/**
 * What a worker says that an answer cost stands on its caller's account, so it must be possible: a token is at least a
 * byte of what was sent, or of what came back. What is more is replaced by an estimate of our own, and marked.
 */

/** Tokens that a model's own template adds to each prompt, which nobody sent. */
const TEMPLATE_TOKENS = 256;

/** Bytes of a usual token, of text and of the JSON around it. */
const BYTES_A_TOKEN = 4;

/** Bytes of an answer whose stream does not tell its length (an end written by an older edge or worker): no more than this. */
const UNTOLD_BYTES = 1_048_576;

/** An SQL expression: the `usage` to be written of a row `tasks` for a row `said` with `usage` and `answer_bytes`. */
export const plausibleUsage = `(
  select case
    when said.usage is null then null
    when prompt <= sent + ${TEMPLATE_TOKENS} and completion <= got and total <= sent + ${TEMPLATE_TOKENS} + got
      then said.usage
    else (
      select jsonb_build_object('promptTokens', p, 'completionTokens', c, 'totalTokens', p + c, 'estimated', true)
      from (select
        case when prompt <= sent + ${TEMPLATE_TOKENS} then prompt else ceil(sent / ${BYTES_A_TOKEN}.0)::bigint end as p,
        case when completion <= got then completion else ceil(got / ${BYTES_A_TOKEN}.0)::bigint end as c) estimate)
    end
  from (select
    (said.usage->>'promptTokens')::bigint as prompt, (said.usage->>'completionTokens')::bigint as completion,
    (said.usage->>'totalTokens')::bigint as total, coalesce(octet_length(tasks.request_body), 0) as sent,
    coalesce(said.answer_bytes, ${UNTOLD_BYTES}) as got) told)`;
