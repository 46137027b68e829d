import type { McpctlError } from '../../../core/errors.ts';
import type { TaskRow, Usage } from '../../../core/task/task.ts';

/** One server-sent event of an answer. */
export interface Frame {
  /** Only the doors that have named events say one. */
  event?: string;
  /** One line. */
  data: string;
}

/** What a caller is told while it waits, on frames that every client takes for empty. */
export interface WaitState {
  state: string;
  /** The how manieth to be taken; missing where that is not known. */
  position?: number;
  /** How long that state has lasted; missing where that is not known. */
  seconds?: number;
  /** Of a turn: what its agent has called, and the server runs. */
  calls?: readonly object[];
}

/**
 * How the answers of one operation look to its caller: what a backend sent is put right in form, never in
 * substance, and the model is called what the caller called it. One for each answer: it knows what it has sent.
 */
export interface Form {
  /** A stream of it is lines of JSON, no server-sent events. */
  readonly lines?: true;
  /** Of a turn, what it calls besides its client's tools the server runs: where that is all, it ends with a later round. */
  readonly isServed?: true;
  /** What ids of its frames begin with, where it is one of many in a stream. */
  readonly ids?: string;
  /** A backend's event as the caller gets it, in as many frames as that takes; none = nothing to send. */
  event(data: string): Frame[];
  /** Says that the answer is still coming; null: there is no event that clients take for nothing, a comment does it. */
  keepAlive(wait: WaitState): Frame | null;
  /** What completes a stream, once it is sure that the task has completed. */
  last(usage: Usage | null): Frame[];
  /** The last frame of a stream that did not complete; null: an event of the backend has said so already. */
  error(error: McpctlError): Frame | null;
  /** What becomes of a whole answer that its row has, before anything of it is told; absent: nothing. */
  settled?(body: string, row: Pick<TaskRow, 'id' | 'retention'>): Promise<string>;
  /** A whole answer. */
  whole(body: string): string;
}

/** An event that a translation has made, named by its `type`. */
export type MadeEvent = Readonly<{ type: string } & Record<string, unknown>>;

/** A form of named events, to which what a translation has made is handed as it is, not as text to look through. */
export interface NamedForm extends Form {
  /** Right already, but for what only the form knows: how many went before. */
  made(event: MadeEvent): Frame;
}

/** Makes the form of an answer that is no answer of the task's own operation. */
export type MakeForm = (options: FormOptions) => Form;

export interface FormOptions {
  taskId: string;
  /** What the caller called the model. */
  model: string;
  /** When the task was made, in seconds. */
  createdS: number;
  /** The task came through `/v1`. */
  v1: boolean;
  /** One frame for each event: frames have ids, and a reader may go on after any of them. */
  resumable: boolean;
  /** As in the request. */
  wantsUsage: boolean | 'continuous';
  encoding: 'float' | 'base64';
  /** Tools of a Responses call that take plain text. */
  customTools: readonly string[];
  /** The tools of a Responses or Messages call, where some are called otherwise in chat. */
  toolNames: readonly string[];
  /** Sequences that end a Messages call. */
  stops: readonly string[];
}

/** The `event:` line that belongs to data of this type, which is JSON. Names that could forge a line get none. */
export function eventName(type: string | undefined): { event?: string } {
  const name = /^"([a-z0-9_.]{1,128})"$/i.exec(type ?? '')?.[1];
  return name === undefined ? {} : { event: name };
}
