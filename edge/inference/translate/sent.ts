import { McpctlError } from '../../../core/errors.ts';
import type { Needs } from '../../../core/member/fit.ts';
import type { Json } from '../../../core/translate/json.ts';
import { Untranslatable } from '../../../core/translate/parts.ts';
import { chatBodyOf, isTranslated, type Translated } from '../../../core/translate/member-body.ts';
import { needsOf } from '../ask/needs.ts';
import type { InferenceRequest } from '../ask/request.ts';

/** A translation of a request, as members get it. */
export interface Sent {
  body: string;
  /** What was asked for. */
  from: Translated;
}

/** What a request is to members that speak chat alone; made once, and only where it is asked for. */
export interface Translation {
  /** The chat body. @throws McpctlError as `needs`. */
  chat: () => Json;
  /** What it asks of a member. @throws McpctlError `invalid_request` naming what has no words in chat. */
  needs: () => Needs;
  /** @throws McpctlError as `needs`. */
  sent: () => Sent;
}

/** Null for what is never translated. */
export function translationOf({ operation, body }: InferenceRequest): Translation | null {
  if (!isTranslated(operation)) return null;
  let made: Json | undefined;
  const chat = (): Json => (made ??= chatOf(operation, body));
  return {
    chat,
    needs: () => needsOf('chat', chat()),
    sent: () => ({ body: JSON.stringify(chat()), from: operation }),
  };
}

function chatOf(operation: Translated, body: string): Json {
  try {
    return chatBodyOf(operation, body);
  } catch (thrown) {
    // Of a large body only an outline was parsed before.
    if (thrown instanceof SyntaxError) throw new McpctlError('invalid_json');
    if (!(thrown instanceof Untranslatable)) throw thrown;
    const { path, message } = thrown;
    throw new McpctlError('invalid_request', undefined, { details: [{ path, message }], cause: thrown });
  }
}
