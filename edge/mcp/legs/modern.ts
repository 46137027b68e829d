import type { Request } from 'express';
import { z } from 'zod';
import type { ServerTool } from '../../../core/mcp/tools.ts';
import { headersOf } from '../../../core/mcp/param-headers.ts';
import { legacyRevisions, modernRevisions } from './leg.ts';
import { rpcErrors, type RpcFault, type RpcMessage } from '../rpc.ts';

const VERSION = 'io.modelcontextprotocol/protocolVersion';
const VERSION_HEADER = 'mcp-protocol-version';

/** What every request says of itself; who the client is it may leave out. */
const metaSchema = z.looseObject({
  [VERSION]: z.string().max(64),
  'io.modelcontextprotocol/clientCapabilities': z.looseObject({}),
});

/** What `Mcp-Name` repeats of the parameters, by the method. */
const named: Readonly<Record<string, 'name' | 'uri'>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
};

const metaOf = ({ params }: RpcMessage): unknown => params?.['_meta'];

/**
 * Whether a message is of the era in which each stands alone: it says so itself, or its header names a revision that has no
 * `initialize`. What names none at all is of the era before.
 */
export function isModern(req: Request, message: RpcMessage): boolean {
  const meta = metaOf(message);
  if (typeof meta === 'object' && meta !== null && VERSION in meta) return true;
  const header = req.get(VERSION_HEADER);
  return header !== undefined && isAfterLegacy(header);
}

/** Clients of before send what was agreed on, the newest at first, or one that is older than all that are served. */
const isAfterLegacy = (revision: string): boolean =>
  !/^\d{4}-\d{2}-\d{2}$/.test(revision) || revision > legacyRevisions[0];

/** What is wrong with a request beside what it asks for: it is answered with 400. Null: nothing. */
export function faultOf(req: Request, message: RpcMessage): RpcFault | null {
  const meta = metaSchema.safeParse(metaOf(message));
  if (!meta.success) {
    const missing = meta.error.issues.map(({ path }) => path.map(String).join('.')).join(', ');
    return {
      code: rpcErrors.invalidParams,
      message: `Each request of this revision says in params._meta: ${missing || '_meta itself'}.`,
    };
  }
  const requested = meta.data[VERSION];
  const header = req.get(VERSION_HEADER)?.trim();
  if (header !== requested) return mismatch('MCP-Protocol-Version', header, requested);
  if (!modernRevisions.some((revision) => revision === requested))
    return {
      code: rpcErrors.unsupportedVersion,
      message: 'Unsupported protocol version',
      data: { supported: [...modernRevisions], requested },
    };
  return standardFault(req, message);
}

/** What goes between us and a client routes by these without reading bodies, so they must say the same. */
function standardFault(req: Request, { method = '', params = {} }: RpcMessage): RpcFault | null {
  const header = req.get('mcp-method')?.trim();
  if (header !== method) return mismatch('Mcp-Method', header, method);
  const field = Object.hasOwn(named, method) ? named[method] : undefined;
  if (field === undefined) return null;
  const name = headerValue(req.get('mcp-name'));
  const wanted = params[field];
  return name === wanted || (name === undefined && wanted === undefined)
    ? null
    : mismatch('Mcp-Name', name, String(wanted));
}

/** A tool may want some of its arguments repeated in headers. */
export function paramFault(req: Request, tool: ServerTool | undefined, given: unknown): RpcFault | null {
  for (const { header, path, type } of headersOf(tool?.inputSchema ?? {}) ?? []) {
    const value = argumentAt(given, path);
    if (value === undefined) continue;
    const name = `Mcp-Param-${header}`;
    const sent = headerValue(req.get(name));
    const same =
      type === 'integer' && typeof value === 'number' && /^-?\d+(\.\d+)?$/.test(sent ?? '')
        ? Number(sent) === value
        : sent === String(value);
    if (!same) return mismatch(name, sent, String(value));
  }
  return null;
}

const argumentSchema = z.union([z.string(), z.number(), z.boolean()]);

/** Undefined where there is none, or none that a header can say. */
function argumentAt(root: unknown, path: readonly string[]): z.infer<typeof argumentSchema> | undefined {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return argumentSchema.safeParse(value).data;
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** A header as it is, or what `=?base64?…?=` stands for; undefined where there is none, or that is none. */
function headerValue(header: string | undefined): string | undefined {
  const text = header?.trim();
  const [, encoded] = /^=\?base64\?(.*)\?=$/.exec(text ?? '') ?? [];
  if (encoded === undefined) return text;
  if (!BASE64.test(encoded)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(encoded, 'base64'));
  } catch {
    return undefined; // no text
  }
}

function mismatch(header: string, sent: string | undefined, wanted: string): RpcFault {
  const shown = (text: string): string => JSON.stringify(text.slice(0, 200));
  const says = sent === undefined ? 'is missing or cannot be read' : `says ${shown(sent)}`;
  return {
    code: rpcErrors.headerMismatch,
    message: `Header mismatch: ${header} ${says}, and the body ${shown(wanted)}.`,
  };
}
