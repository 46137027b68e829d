import { z } from 'zod';

/** JSON-RPC as MCP has it: no batches, and ids that are texts or numbers. */

const idSchema = z.union([z.string().max(256), z.number()]);
export type RpcId = z.infer<typeof idSchema>;

export const messageSchema = z.looseObject({
  jsonrpc: z.literal('2.0'),
  id: idSchema.optional(),
  method: z.string().max(256).optional(),
  params: z.looseObject({}).optional(),
});
export type RpcMessage = z.infer<typeof messageSchema>;

export const rpcErrors = {
  parse: -32_700,
  invalidRequest: -32_600,
  unknownMethod: -32_601,
  invalidParams: -32_602,
} as const;

export const rpcResult = (id: RpcId, result: object): object => ({ jsonrpc: '2.0', id, result });

export const rpcError = (
  id: RpcId | null,
  error: { code: number; message: string; data?: unknown },
): object => ({ jsonrpc: '2.0', id, error });

/** What a model can act on: the sentence as text, the code beside it and in it. */
export const toolFailure = (id: RpcId, { code, message }: { code: string; message: string }): object =>
  rpcResult(id, {
    content: [{ type: 'text', text: `${message} (${code})` }],
    isError: true,
    _meta: { 'mcpctl.dev/code': code },
  });
