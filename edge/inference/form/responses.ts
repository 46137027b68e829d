import type { McpctlError } from '../../../core/errors.ts';
import { openAiErrorBody, toldLate } from '../../http/error-body.ts';
import { Edits } from '../../../core/text/json-edits.ts';
import {
  eventName,
  type FormOptions,
  type Frame,
  type MadeEvent,
  type NamedForm,
  type WaitState,
} from './form.ts';

/**
 * OpenAI's Responses: named events, numbered without a gap. Who waits before the backend has begun gets a response
 * that is `queued`, then `in_progress`; the backend's own goes on under its id and numbers. Later, none: OpenAI's SDKs throw
 * at a type that they do not know, and one that carries a response would replace what clients have put together so far.
 * A reader that may begin after any event (`resumable`) gets none either: they would number what comes for that reader alone.
 */
export class ResponsesForm implements NamedForm {
  readonly #options: FormOptions;
  readonly #model: string;
  readonly #id: string;
  /** The number of the next event. */
  #next = 0;
  /** How many of ours went before the backend's. */
  #ours = 0;
  #waited = false;
  #begun = false;
  /** `response.failed` was the last event. */
  #failed = false;

  constructor(options: FormOptions) {
    this.#options = options;
    this.#model = JSON.stringify(options.model);
    this.#id = `resp_${options.taskId.replaceAll('-', '')}`;
  }

  event(data: string): Frame[] {
    this.#begun = true;
    const edits = new Edits(data);
    const event = edits.whole();
    if (!event) return [{ data }];
    const numberText = edits.value(event, 'sequence_number');
    const isNumber = numberText !== undefined && /^\d+$/.test(numberText);
    const number = isNumber ? Number(numberText) + this.#ours : this.#next;
    this.#next = number + 1;
    const isKnown = isNumber || !this.#options.resumable;
    if (isKnown && numberText !== String(number)) edits.put(event, 'sequence_number', String(number));
    const response = edits.objectIn(event, 'response');
    let type = edits.value(event, 'type');
    this.#failed = type === '"response.failed"';
    if (response) {
      edits.put(response, 'model', this.#model);
      if (this.#waited) edits.put(response, 'id', JSON.stringify(this.#id));
      // Ours was created already.
      if (this.#waited && type === '"response.created"')
        edits.put(event, 'type', (type = '"response.in_progress"'));
    }
    return [{ ...eventName(type), data: edits.apply() }];
  }

  made({ type: named, ...event }: MadeEvent): Frame {
    this.#begun = true;
    // Ours was created already.
    const type = this.#waited && named === 'response.created' ? 'response.in_progress' : named;
    return { event: type, data: JSON.stringify({ type, sequence_number: this.#next++, ...event }) };
  }

  keepAlive(wait: WaitState): Frame | null {
    if (this.#begun || this.#options.resumable) return null;
    const type = this.#typeFor(wait);
    this.#waited = true;
    const sequence_number = this.#next++;
    this.#ours += 1;
    const response = this.#response(wait);
    return { event: type, data: JSON.stringify({ type, sequence_number, response, mcpctl: wait }) };
  }

  last(): Frame[] {
    return []; // `response.completed`, or one like it, was the last
  }

  /** SDKs raise what has an `error`; others know the event by its type. */
  error(failed: McpctlError): Frame | null {
    if (this.#failed) return null;
    const { error } = toldLate(failed, openAiErrorBody(failed, this.#options), this.#options.v1);
    const { message, code, param } = error;
    const body = { type: 'error', sequence_number: this.#next++, code, message, param, error };
    return { event: 'error', data: JSON.stringify(body) };
  }

  whole(body: string): string {
    const edits = new Edits(body);
    const answer = edits.whole();
    if (answer) edits.put(answer, 'model', this.#model);
    return edits.apply();
  }

  #typeFor({ state }: WaitState): string {
    if (!this.#waited) return 'response.created';
    return state === 'running' ? 'response.in_progress' : 'response.queued';
  }

  #response({ state }: WaitState): object {
    return {
      id: this.#id,
      object: 'response',
      created_at: this.#options.createdS,
      status: state === 'running' ? 'in_progress' : 'queued',
      model: this.#options.model,
      output: [],
      error: null,
      incomplete_details: null,
      instructions: null,
      metadata: {},
      parallel_tool_calls: true,
      temperature: null,
      tool_choice: 'auto',
      tools: [],
      top_p: null,
      usage: null,
    };
  }
}
