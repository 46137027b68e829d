import type { Request, Response } from 'express';
import type { EdgeDeps } from '../deps.ts';
import { actorOf } from '../http/context.ts';
import type { McpProject } from '../../core/registry/mcp/servers.ts';
import type { KeptPrompts } from './briefing/kept-prompts.ts';
import type { ListChanges } from './changes.ts';
import type { Kept } from './kept.ts';
import type { Leg } from './legs/leg.ts';
import type { PageTitles } from './pipe/page-titles.ts';
import type { RpcId } from './rpc.ts';
import type { ExchangeNotes } from './traffic/exchange.ts';

/** What is kept for all requests at this edge. */
export type McpEdge = EdgeDeps & {
  /** Who listens. */
  changes: ListChanges;
  /** Of results, by what names them, those that were just read. */
  pages: Kept<readonly string[]>;
  /** What is asked of what pages are called. */
  titles: PageTitles;
  prompts: KeptPrompts;
};

/** Nothing of it is kept: it is what its id says. */
export interface Session {
  id: string;
  /** The revision that was agreed on. */
  revision: string;
  /** What its client calls itself; null: it has not said. */
  client: string | null;
  /** What its id is signed with, and so are those of its events. */
  key: string;
}

/** One request of a client, of which its era is known and found to be in order. */
export interface Asked {
  req: Request;
  res: Response;
  project: McpProject;
  leg: Leg;
  /** Of the protocol, as the client speaks it. */
  revision: string;
  /** Its own; null without one. */
  session: Session | null;
  id: RpcId;
  method: string;
  params: Readonly<Record<string, unknown>>;
  /** Of what comes of it, for who watches the project. */
  notes: ExchangeNotes;
}

/**
 * Whose streams they are: of a session, which is of one project and token, else of a token in a project. At another project what a stream
 * told would go through that one's policy.
 */
export const scopeOf = ({ req, session, project }: Pick<Asked, 'req' | 'session' | 'project'>): string =>
  session?.id ?? `token:${actorOf(req).tokenId} ${project.id}`;
