import type { McpctlError } from '../../../../core/errors.ts';
import type { Usage } from '../../../../core/task/task.ts';
import type { Form, Frame, WaitState } from '../../form/form.ts';

/** An answer of chat in the words of a door that has others. */
export class SaidAs implements Form {
  readonly isServed?: true;
  readonly lines?: true;
  readonly #chat: Form;
  readonly #door: Form;

  constructor(chat: Form, door: Form) {
    this.#chat = chat;
    this.#door = door;
    if (chat.isServed) this.isServed = true;
    if (door.lines) this.lines = true;
  }

  event(data: string): Frame[] {
    return this.#atDoor(this.#chat.event(data));
  }

  keepAlive(wait: WaitState): Frame | null {
    return this.#door.keepAlive(wait);
  }

  last(usage: Usage | null): Frame[] {
    return [...this.#atDoor(this.#chat.last(usage)), ...this.#door.last(usage)];
  }

  error(error: McpctlError): Frame | null {
    return this.#door.error(error);
  }

  whole(body: string): string {
    return this.#door.whole(this.#chat.whole(body));
  }

  #atDoor(frames: readonly Frame[]): Frame[] {
    return frames.filter(({ data }) => data !== '[DONE]').flatMap(({ data }) => this.#door.event(data));
  }
}
