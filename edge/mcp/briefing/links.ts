import { McpctlError } from '../../../core/errors.ts';
import type { ListedPrompt } from '../../../core/mcp/briefing/choose.ts';
import { cleaned } from '../../../core/mcp/clean.ts';
import { mcpAnswerSchema } from '../../../core/mcp/call.ts';
import type { Link } from '../../../core/mcp/gate.ts';
import type { LinkRead } from '../../../core/queue/live/mcp/linked-texts.ts';
import type { BoundServer } from '../../../core/registry/mcp/servers.ts';
import { jsonValue } from '../../../core/text/json-text.ts';
import { z } from 'zod';
import type { EdgeDeps } from '../../deps.ts';
import { askServer } from '../call/ask-server.ts';
import { serverOfUri } from '../offers.ts';
import { serversFor, type Viewer } from '../tools.ts';

/** Of one text, in UTF-8. */
const MOST_BYTES = 65_536;
const WITHIN_MS = 5_000;
const MOST_WHY_CHARS = 200;

const contentsSchema = z.object({
  contents: z.array(z.looseObject({ text: z.string().optional() })).max(64),
});

const dead = (why: string): LinkRead => ({ status: 'dead', why });

/**
 * What prompts that are elsewhere say, by their ids: read as any resource is, as a task of who asks, and kept for five minutes. What cannot be
 * read is dead, and why. @throws McpctlError `unavailable`.
 */
export async function readLinks(
  deps: EdgeDeps,
  viewer: Viewer,
  { prompts, left }: { prompts: readonly ListedPrompt[]; left: AbortSignal },
): Promise<ReadonlyMap<string, LinkRead>> {
  const read = await Promise.all(
    prompts.flatMap(({ id, link }) =>
      link ? [readLink(deps, viewer, { link, left }).then((one) => [id, one] as const)] : [],
    ),
  );
  return new Map(read);
}

async function readLink(
  deps: EdgeDeps,
  viewer: Viewer,
  { link, left }: { link: Link; left: AbortSignal },
): Promise<LinkRead> {
  const server = serversFor(viewer).find((candidate) => candidate.server === link.server);
  if (!server) return dead(`this project has no server '${link.server}' that you may use`);
  // Before what is kept: it may have been approved then, and be another now.
  if (!(await serverOfUri(deps, { viewer, servers: [server] }, link.uri)))
    return dead(
      `the server '${server.server}' has no such resource, or this project has not approved it as it is`,
    );
  const of = { projectId: viewer.project.id, ...link };
  const kept = await deps.queue.linkedTexts.recall(of);
  if (kept) return kept;
  const read = await ask(deps, viewer, { server, uri: link.uri, left });
  if (read.isKept) await deps.queue.linkedTexts.keep({ ...of, userId: viewer.actor.userId }, read.answer);
  return read.answer;
}

/** `isKept`: it is of the resource, and not of who asks. */
async function ask(
  deps: EdgeDeps,
  viewer: Viewer,
  { server, uri, left }: { server: BoundServer; uri: string; left: AbortSignal },
): Promise<{ answer: LinkRead; isKept: boolean }> {
  try {
    const call = { method: 'resources/read', params: { uri } } as const;
    const body = await askServer(deps, viewer.actor, { server, call, withinMs: WITHIN_MS, left });
    if (body !== null) return { answer: linkRead(body), isKept: true };
    const late = `the server '${server.server}' did not answer within ${String(WITHIN_MS / 1_000)} s`;
    return { answer: dead(late), isKept: !left.aborted };
  } catch (thrown) {
    if (!(thrown instanceof McpctlError) || thrown.code === 'unavailable') throw thrown;
    return { answer: dead(thrown.message), isKept: false };
  }
}

/** Of what a server has answered to `resources/read`. */
function linkRead(body: string): LinkRead {
  const answer = mcpAnswerSchema.safeParse(jsonValue(body));
  if (!answer.success) return dead('its server answered in no form that is known');
  if ('error' in answer.data)
    return dead(
      `its server says: ${cleaned(answer.data.error.message).slice(0, MOST_WHY_CHARS).toWellFormed()}`,
    );
  const parsed = contentsSchema.safeParse(answer.data.result);
  const texts = parsed.success ? parsed.data.contents.flatMap(({ text }) => text ?? []) : [];
  const text = texts.join('\n\n').toWellFormed();
  if (text === '') return dead('it is no text');
  if (Buffer.byteLength(text) > MOST_BYTES) return dead(`it is longer than ${String(MOST_BYTES)} bytes`);
  return { status: 'ok', text };
}
