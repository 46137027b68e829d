import type { McpctlError } from '../../../core/errors.ts';
import { anthropicErrorBody, toldLate } from '../../http/error-body.ts';
import { Edits } from '../../../core/text/json-edits.ts';
import { memberOf } from '../../../core/text/json-text.ts';
import {
  eventName,
  type FormOptions,
  type Frame,
  type MadeEvent,
  type NamedForm,
  type WaitState,
} from './form.ts';

/** Anthropic's Messages: named events, `ping` while it is quiet, and the model in `message_start`. */
export class MessagesForm implements NamedForm {
  readonly #model: string;

  constructor({ model }: FormOptions) {
    this.#model = JSON.stringify(model);
  }

  event(data: string): Frame[] {
    const edits = new Edits(data);
    const event = edits.whole();
    if (!event) return [{ data }];
    const message = edits.objectIn(event, 'message');
    if (message && memberOf(message.members, 'model')) edits.put(message, 'model', this.#model);
    return [{ ...eventName(edits.value(event, 'type')), data: edits.apply() }];
  }

  made(event: MadeEvent): Frame {
    return { event: event.type, data: JSON.stringify(event) };
  }

  keepAlive(wait: WaitState): Frame {
    return { event: 'ping', data: JSON.stringify({ type: 'ping', mcpctl: wait }) };
  }

  last(): Frame[] {
    return []; // `message_stop` was the last
  }

  error(error: McpctlError): Frame {
    return { event: 'error', data: JSON.stringify(toldLate(error, anthropicErrorBody(error), true)) };
  }

  /** A count of tokens names no model. */
  whole(body: string): string {
    const edits = new Edits(body);
    const answer = edits.whole();
    if (answer && memberOf(answer.members, 'model')) edits.put(answer, 'model', this.#model);
    return edits.apply();
  }
}
