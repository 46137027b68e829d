import type { Request, Response } from 'express';
import { actorOf } from '../http/context.ts';
import type { McpProject } from '../../core/registry/mcp/servers.ts';
import type { Leg } from './legs/leg.ts';
import type { RpcId } from './rpc.ts';

/** One request of a client, of which its era is known and found to be in order. */
export interface Asked {
  req: Request;
  res: Response;
  project: McpProject;
  leg: Leg;
  /** Of the protocol, as the client speaks it. */
  revision: string;
  /** The id of its session, which is its own; null without one. */
  session: string | null;
  id: RpcId;
  method: string;
  params: Readonly<Record<string, unknown>>;
}

/** Whose streams and calls they are: of a session, else of a token. */
export const scopeOf = (req: Request, session: string | null): string =>
  session ?? `token:${actorOf(req).tokenId}`;
