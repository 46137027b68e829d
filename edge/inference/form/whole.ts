import { spliceMembers } from '../../../core/text/json-text.ts';

/** A whole answer with the model called what the caller called it. */
export function withModel(body: string, model: string): string {
  return spliceMembers(body, { model: JSON.stringify(model) }) ?? body;
}
