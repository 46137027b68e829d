import { z } from 'zod';

/** JSON-RPC as MCP has it: no batches, and ids that are texts or numbers. */

export const idSchema = z.union([z.string().max(256), z.number()]);
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
  internal: -32_603,
  headerMismatch: -32_020,
  missingCapability: -32_021,
  unsupportedVersion: -32_022,
} as const;

export interface RpcFault {
  code: number;
  message: string;
  data?: unknown;
}

export const rpcResult = (id: RpcId, result: object): object => ({ jsonrpc: '2.0', id, result });

export const rpcError = (id: RpcId | null, error: RpcFault): object => ({ jsonrpc: '2.0', id, error });

/** What a model can act on: the sentence as text, the code beside it and in it. */
export const failedResult = ({ code, message }: { code: string; message: string }): object => ({
  content: [{ type: 'text', text: `${message} (${code})` }],
  isError: true,
  _meta: { 'mcpctl.dev/code': code },
});
