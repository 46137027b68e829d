import { z } from 'zod';

/** What a client says, as far as the way to the edge depends on it; the text itself goes on as it came. */
const messageSchema = z.looseObject({
  jsonrpc: z.literal('2.0'),
  id: z.union([z.string(), z.number()]).optional(),
  method: z.string().optional(),
  params: z
    .looseObject({
      name: z.string().optional(),
      uri: z.string().optional(),
      _meta: z.looseObject({ 'io.modelcontextprotocol/protocolVersion': z.string().optional() }).optional(),
    })
    .optional()
    .catch(undefined),
});
export type Message = z.infer<typeof messageSchema>;
export type MessageId = string | number;

/** @returns undefined for what is no message. */
export const messageOf = (json: unknown): Message | undefined => messageSchema.safeParse(json).data;

/** The revision that a message says for itself; undefined where a session says it for all. */
const revisionOf = ({ params }: Message): string | undefined =>
  params?._meta?.['io.modelcontextprotocol/protocolVersion'];

/**
 * What HTTP has in headers and a pipe has not: revision, method and name of a message without a session.
 * A name that is not plain ASCII goes as base64, as the protocol has it.
 */
export function headersOf(message: Message): Record<string, string> {
  const revision = revisionOf(message);
  if (revision === undefined) return {};
  const name = message.params?.name ?? message.params?.uri;
  return {
    'mcp-protocol-version': headerText(revision),
    ...(message.method === undefined ? {} : { 'mcp-method': headerText(message.method) }),
    ...(name === undefined ? {} : { 'mcp-name': headerText(name) }),
  };
}

const headerText = (text: string): string =>
  /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !/^=\?base64\?.*\?=$/.test(text)
    ? text
    : `=?base64?${Buffer.from(text).toString('base64')}?=`;

/** An answer that the edge has not given. */
export const refusal = (id: MessageId | null, code: number, message: string): string =>
  JSON.stringify({ jsonrpc: '2.0', id, error: { code, message } });
