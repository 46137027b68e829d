import { z } from 'zod';
import { McpctlError } from '../../../core/errors.ts';
import type { Offers } from '../../../core/mcp/offers.ts';
import { ownPackage } from '../../../core/runtime/files/own-package.ts';
import type { Peer } from '../child.ts';
import { heardOf, listOffers, listTools, type ListedTools } from './listed.ts';

/** What a server has said of itself. */
export interface Introduced {
  info: { name: string; version: string };
  tools: ListedTools['tools'];
  tooLarge: ListedTools['tooLarge'];
  /** What it has beside them. */
  offers: Offers;
  /** What it says that it can do. */
  capabilities: object;
}

const PROTOCOL = '2025-11-25';

const initializedSchema = z.looseObject({
  protocolVersion: z.string(),
  capabilities: z.looseObject({}).default({}),
  serverInfo: z
    .looseObject({ name: z.string(), version: z.string() })
    .catch({ name: 'unknown', version: 'unknown' }),
});

/** @throws ChildFailure, Error saying why it came to nothing. */
export async function introduce(
  child: Peer,
  how: { withinMs: number; signal: AbortSignal },
): Promise<Introduced> {
  const params = {
    protocolVersion: PROTOCOL,
    capabilities: {}, // nobody is there whom it could ask
    clientInfo: { name: 'mcpctl', version: ownPackage().version },
  };
  const answer = await heardOf(child, { method: 'initialize', params, how });
  if ('error' in answer)
    throw new McpctlError('mcp_server_down', `it refused to begin: ${answer.error.message}`);
  const begun = initializedSchema.safeParse(answer.result);
  if (!begun.success)
    throw new McpctlError('mcp_server_down', 'it answered initialize in no form that is known');
  const { capabilities, serverInfo } = begun.data;
  child.notify('notifications/initialized', {});
  const info = { name: serverInfo.name.slice(0, 256), version: serverInfo.version.slice(0, 128) };
  return { info, capabilities, ...(await listedBy(child, capabilities, how)) };
}

/** All that it has. @throws ChildFailure, McpctlError. */
export async function listedBy(
  child: Peer,
  capabilities: object,
  how: { withinMs: number; signal: AbortSignal },
): Promise<Omit<Introduced, 'info' | 'capabilities'>> {
  const none: ListedTools = { tools: [], tooLarge: [] };
  const listed = 'tools' in capabilities ? await listTools(child, how) : none;
  return { ...listed, offers: await listOffers(child, capabilities, how) };
}
