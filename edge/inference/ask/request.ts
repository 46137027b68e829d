import { createHash, hash } from 'node:crypto';
import type { Request } from 'express';
import { z } from 'zod';
import { McpctlError } from '../../../core/errors.ts';
import type { Operation, TaskOperation } from '../../../core/llm.ts';
import { listOf } from '../../../core/translate/json.ts';
import { chatNames, toolNamesIn } from '../../../core/translate/chat-values.ts';
import { isTranslated } from '../../../core/translate/member-body.ts';
import { customToolsIn } from '../../../core/translate/responses-request.ts';
import type { MakeForm } from '../form/form.ts';
import { inSlices, shapeOf, type JsonShape } from '../../../core/text/json-shape.ts';
import { memberOf, memberText } from '../../../core/text/json-text.ts';
import { outlinedJson } from '../../http/parse.ts';
import { needsOf, type Needs } from './needs.ts';

const some = z.array(z.unknown()).min(1);
const messages = z.array(z.looseObject({})).min(1);
const textOrList = z.union([z.string(), some], { error: 'must be a string or a list that is not empty' });

/** Every operation is asked for a model, and whether to stream. */
const base = z.looseObject({
  model: z.string().min(1).max(256).optional(),
  stream: z.boolean().nullish(),
  stream_options: z
    .looseObject({ include_usage: z.boolean().nullish(), continuous_usage_stats: z.unknown().optional() })
    .nullish(),
});

const stateless =
  'is not served: no answers are kept here to go on from. Send the whole conversation as input, and leave it out';
const absent = z.null({ error: stateless }).optional();

/** What we look at in a caller's body. Everything else goes to the backend as the text it is. */
export const requestSchemas = {
  chat: base.extend({ messages }),
  completions: base.extend({ prompt: textOrList }),
  embeddings: base.extend({
    input: textOrList,
    encoding_format: z.enum(['float', 'base64'], { error: 'must be float or base64' }).nullish(),
  }),
  responses: base.extend({
    input: textOrList,
    previous_response_id: absent,
    conversation: absent,
    background: z.literal(false, { error: stateless }).nullish(),
  }),
  messages: base.extend({ messages }),
} satisfies Record<Operation, z.ZodType>;

export interface InferenceRequest {
  operation: TaskOperation;
  /** Exactly as received. */
  body: string;
  hash: string;
  /** What the body calls its model. */
  model: string | undefined;
  streaming: boolean;
  /**
   * The caller asked for the usage chunk; the backend is always asked. `continuous`: and for it on every chunk,
   * as vLLM gives it.
   */
  wantsUsage: boolean | 'continuous';
  /** How the caller wants numbers of embeddings written. */
  encoding: 'float' | 'base64';
  /** Tools of a Responses call that take plain text. */
  customTools: readonly string[];
  /** The tools of a Responses or Messages call, where some are called otherwise in chat. */
  toolNames: readonly string[];
  /** Sequences that end a Messages call. */
  stops: readonly string[];
  /** How the answer looks where the door speaks another protocol than the operation's. */
  formAs?: MakeForm;
  /** What a member must be able to do. */
  needs: Needs;
}

/** What is shorter is hashed at once. */
const SHORT_CHARS = 16_000;

async function hashOf(body: string, owner: string): Promise<string> {
  if (body.length <= SHORT_CHARS) return hash('sha256', body);
  const sliced = createHash('sha256');
  await inSlices(body, (slice) => void sliced.update(slice), owner);
  return sliced.digest('hex');
}

const MOST_CHARS = 1_000_000;

/** A list of the body, also where an outline has left it out. */
function listIn(body: string, { members }: JsonShape, name: 'tools' | 'stop_sequences'): unknown {
  const member = memberOf(members, name);
  if (!member || member.valueEnd - member.valueStart > MOST_CHARS) return [];
  return JSON.parse(body.slice(member.valueStart, member.valueEnd));
}

const textsIn = (list: unknown): string[] => listOf(list).filter((item) => typeof item === 'string');

/** All of the names, where one of them is not taken as it is: what the others are called may depend on it. */
function oddNamesIn(body: string, looked: JsonShape): string[] {
  if (!memberOf(looked.members, 'tools')) return [];
  const names = toolNamesIn({ tools: listIn(body, looked, 'tools') });
  return chatNames(names).areSame ? [] : names;
}

interface Looking {
  /** Of the text, where that was looked at before. */
  shape?: JsonShape | undefined;
  /** Who takes turns with others meanwhile. */
  owner?: string;
}

/** The text of `request` as it came: it reaches the backend like that. */
export function requestText({ context: { text = '', shape } }: Pick<Request, 'context'>): string {
  return memberText(text, 'request', shape?.members ?? []) ?? '{}';
}

/**
 * Looks at the body of an inference; of a large one only at an outline.
 * @throws McpctlError `invalid_json`, `invalid_request` with the path of each fault.
 */
export async function readRequest(
  operation: Operation,
  body: string,
  { shape, owner = '' }: Looking = {},
): Promise<InferenceRequest> {
  const { looked, data } = await lookAt(operation, body, { shape, owner });
  const { include_usage: usage, continuous_usage_stats: continuous } = data.stream_options ?? {};
  return {
    operation,
    body,
    hash: await hashOf(body, owner),
    model: data.model,
    streaming: data.stream === true && operation !== 'embeddings',
    wantsUsage: usage === true && continuous === true ? 'continuous' : usage === true,
    encoding: data['encoding_format'] === 'base64' ? 'base64' : 'float',
    customTools: operation === 'responses' ? customToolsIn({ tools: listIn(body, looked, 'tools') }) : [],
    toolNames: isTranslated(operation) ? oddNamesIn(body, looked) : [],
    stops: operation === 'messages' ? textsIn(listIn(body, looked, 'stop_sequences')) : [],
    needs: needsOf(operation, data),
  };
}

/** What a chat that was composed asks of a member: it goes by the hash of what its caller has sent. @throws as `readRequest`. */
export async function needsOfChat(body: string, owner: string): Promise<Needs> {
  const { data } = await lookAt('chat', body, { owner });
  return needsOf('chat', data);
}

async function lookAt(operation: Operation, body: string, { shape, owner }: Looking) {
  const looked = shape ?? (await shapeOf(body, owner));
  const parsed = requestSchemas[operation].safeParse(outlinedJson(body, looked));
  if (!parsed.success) {
    const details = parsed.error.issues
      .slice(0, 20)
      .map((i) => ({ path: i.path.map(String).join('.'), message: i.message }));
    throw new McpctlError('invalid_request', undefined, { details });
  }
  return { looked, data: parsed.data };
}
