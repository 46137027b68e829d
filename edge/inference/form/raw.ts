import type { McpctlError } from '../../../core/errors.ts';
import { openAiErrorBody } from '../../http/error-body.ts';
import type { Form, FormOptions, Frame, WaitState } from './form.ts';

/** What a member said, as it said it: of a task that is no inference, for who reads its stream. */
export class RawForm implements Form {
  readonly #options: FormOptions;

  constructor(options: FormOptions) {
    this.#options = options;
  }

  event(data: string): Frame[] {
    return [{ data }];
  }

  keepAlive(wait: WaitState): Frame {
    return { data: JSON.stringify({ mcpctl: wait }) };
  }

  last(): Frame[] {
    return [{ data: '[DONE]' }];
  }

  error(error: McpctlError): Frame {
    return { data: JSON.stringify(openAiErrorBody(error, this.#options)) };
  }

  whole(body: string): string {
    return body;
  }
}
