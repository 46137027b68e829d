import type { TaskOperation } from '../../../core/llm.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import type { InferenceRequest } from '../ask/request.ts';
import { ChunkForm } from './chunks.ts';
import { EmbeddingsForm } from './embeddings.ts';
import type { Form, FormOptions } from './form.ts';
import { MessagesForm } from './messages.ts';
import { RawForm } from './raw.ts';
import { ResponsesForm } from './responses.ts';
import { TranslatingForm } from '../translate/form.ts';

export type { Form };

/** What the caller had asked for. */
type Asked = Pick<
  InferenceRequest,
  'model' | 'wantsUsage' | 'encoding' | 'customTools' | 'toolNames' | 'stops' | 'formAs'
>;

/** Nothing special, as of a body that was dropped. */
export const nothingAsked = {
  model: undefined,
  wantsUsage: false,
  encoding: 'float',
  customTools: [],
  toolNames: [],
  stops: [],
} as const satisfies Asked;

/** Whether the frames of its answer have ids, so that its caller may go on after any of them. */
export const hasIds = ({ source }: Pick<TaskRow, 'source'>): boolean =>
  source === 'infer' || source === 'agent';

/** The form of the answer to a task. */
export function formOf(
  row: Pick<TaskRow, 'id' | 'operation' | 'createdAt' | 'llmName' | 'source'>,
  { model, wantsUsage, encoding, customTools, toolNames, stops, formAs }: Asked,
  resumable = hasIds(row),
): Form {
  const createdS = Math.floor(row.createdAt.getTime() / 1_000);
  const options: FormOptions = {
    taskId: row.id,
    model: model ?? row.llmName,
    createdS,
    v1: row.source === 'v1',
    resumable,
    wantsUsage,
    encoding,
    customTools,
    toolNames,
    stops,
  };
  return formAs ? formAs(options) : newForm(row.operation, options);
}

function newForm(operation: TaskOperation, options: FormOptions): Form {
  switch (operation) {
    case 'chat':
    case 'completions':
      return new ChunkForm(operation, options);
    case 'embeddings':
      return new EmbeddingsForm(options);
    case 'responses':
      return new TranslatingForm('responses', new ResponsesForm(options), options);
    case 'mcp':
      return new RawForm(options);
    case 'messages':
      return new TranslatingForm('messages', new MessagesForm(options), options);
  }
}
