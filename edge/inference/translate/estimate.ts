import type { Call } from '../ask/call.ts';

/** Of texts in many languages and of code; a tokenizer gives more tokens for some, and fewer for others. */
const BYTES_PER_TOKEN = 3.5;
/** What each message and each tool costs beside its text. */
const TOKENS_EACH = 6;
/** A picture, whatever its size: its bytes say nothing of it. */
const TOKENS_PER_PICTURE = 1_200;

/**
 * `POST /v1/messages/count_tokens` where no member counts: an estimate, which says so. It makes no task, and nothing
 * is ever refused because of it.
 */
export function answerEstimate({ res, report, translation }: Call): void {
  const input_tokens = estimated(translation?.chat());
  res.set('x-mcpctl-translated', 'count_tokens->estimate').json({ input_tokens });
  report.finish(200, null);
}

/** Tokens in a chat body, about. */
function estimated(chat: unknown): number {
  let [bytes, pictures, parts] = [0, 0, 0];
  const see = (value: unknown): void => {
    if (typeof value === 'string') {
      if (/^data:[^,]{1,100};base64,/.test(value)) pictures += 1;
      else bytes += Buffer.byteLength(value);
    } else if (Array.isArray(value)) {
      parts += value.length;
      value.forEach(see);
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        if (key !== 'type' && key !== 'role') see(inner);
      }
    }
  };
  see(chat);
  return Math.ceil(bytes / BYTES_PER_TOKEN) + parts * TOKENS_EACH + pictures * TOKENS_PER_PICTURE;
}
