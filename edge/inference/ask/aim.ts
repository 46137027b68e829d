import { createHash } from 'node:crypto';
import type { Actor } from '../../../core/access.ts';
import { composeChat, type Composed, type Persona } from '../../../core/agent/compose.ts';
import { expectedTokens, type Budget } from '../../../core/agent/budget.ts';
import { madeOf } from '../../../core/agent/made.ts';
import { McpctlError } from '../../../core/errors.ts';
import { turnFor } from '../../../core/text/json-shape.ts';
import { lookAtPublishers } from '../../../core/flow/alive/publishers.ts';
import type { Publisher } from '../../../core/registry/agents/publishers.ts';
import type { EdgeDeps } from '../../deps.ts';
import type { Translation } from '../translate/sent.ts';
import { needsOfChat, type InferenceRequest } from './request.ts';
import type { Needs } from './needs.ts';
import type { Order } from './submit.ts';
import { offeredTools } from '../turn/tools/offered.ts';
import { targetOf } from './target.ts';

interface Aiming {
  request: InferenceRequest;
  translation: Translation | null;
  /** The name that the caller asked for. */
  llmName: string;
  /** Whose that name is to be; undefined: whosever it is. */
  ownedBy?: string | undefined;
  pin: string | undefined;
  mayWait: boolean;
  /** By its name; null = none, undefined = what the name says, or the agent's default. */
  personality?: string | null | undefined;
  /** In place of the agent's system prompt. */
  system?: string | undefined;
  /** What a thread has besides what the request brings. */
  thread?: ThreadTexts | undefined;
  /** It is offered its project's tools: who asks has a turn, whose rows say what becomes of their calls. */
  offersTools?: boolean;
}

/** What was said in a thread, as it is sent: with what the request brings, but for system texts. */
export interface ThreadTexts {
  texts: readonly string[];
  /** What of it the request does not bring asks of a member. */
  needs: Pick<Needs, 'vision' | 'aboutTokens'>;
  /** What the last prompt of it came to. */
  measured: Budget['measured'];
}

/**
 * Where a request goes, and what goes there: the request itself, a translation of it, or what an agent makes of it.
 * @throws as `targetOf`; McpctlError `invalid_request` for what an agent cannot be asked.
 */
export async function aim(
  deps: EdgeDeps,
  actor: Actor,
  {
    request,
    translation,
    llmName: asked,
    ownedBy,
    pin,
    mayWait,
    personality,
    system,
    thread,
    offersTools = false,
  }: Aiming,
): Promise<Pick<Order, 'request' | 'sent' | 'target' | 'agent'>> {
  const wanted = {
    asked,
    ownedBy,
    pin,
    mayWait,
    needs: request.needs,
    translation: translation?.needs ?? null,
  };
  const target = await targetOf(deps, actor, wanted);
  const { agent } = target;
  if (agent === null)
    return { request, target, sent: target.translated && translation ? translation.sent() : null };
  const called = await composedFor(deps, actor, {
    ...{ id: agent.id, body: request.body, system, offersTools },
    personality: personality === undefined ? (agent.personality ?? undefined) : personality,
  });
  const { persona } = called;
  await needPublisher(deps, persona, { mayWait });
  const asks = withThread(await needsOfChat(called.body, actor.userId), thread);
  const composed = thread ? composeChat(persona, request.body, thread.texts) : called;
  const promptTokens = thread && tokensFor(composed.body, thread.measured, target.contextLength);
  const needs = { ...asks, promptTokens, prefill: request.needs.prefill };
  const aimed = await targetOf(deps, actor, { ...wanted, needs });
  return {
    // It is known by what its caller has sent: an equal call is equal whatever was said to the agent meanwhile.
    request: { ...request, body: composed.body, needs },
    // Asked again with what the agent asks of a member besides: tools, and room for its texts.
    target: aimed,
    sent: null,
    agent: {
      id: agent.id,
      composed: { system: composed.system, params: composed.params },
      answerTokens: composed.answerTokens,
      hasServerTools: persona.toolsOf != null,
      toolsFrom: offersTools ? (persona.toolsOf?.id ?? null) : null,
      made: () =>
        madeOf(persona, composed, {
          ...{ llm: aimed.pinned, pool: aimed.poolKey },
          sha256: createHash('sha256').update(composed.body).digest('hex'),
        }),
    },
  };
}

/** What is measured keeps a request from members that have too little room, while one has more; the roomiest is to say so itself. */
function tokensFor(
  body: string,
  measured: Budget['measured'],
  contextLength: number | null,
): number | undefined {
  const tokens = expectedTokens(Buffer.byteLength(body), measured);
  return tokens === null ? undefined : Math.min(tokens, contextLength ?? Infinity);
}

const withThread = (needs: Needs, thread: ThreadTexts | undefined): Needs =>
  thread === undefined
    ? needs
    : {
        ...needs,
        vision: needs.vision || thread.needs.vision,
        aboutTokens: needs.aboutTokens + thread.needs.aboutTokens,
      };

/** @throws McpctlError `llm_not_found` where it was deleted at this moment, `personality_not_found`. */
export async function composedFor(
  deps: Pick<EdgeDeps, 'registry'>,
  actor: Actor,
  {
    id,
    body,
    personality,
    system,
    offersTools,
  }: { id: string; body: string; offersTools: boolean } & Pick<Aiming, 'personality' | 'system'>,
): Promise<Composed & { persona: Persona & { publisher: Publisher | null } }> {
  const own = await deps.registry.agents.persona(id, personality);
  if (!own) throw new McpctlError('llm_not_found');
  const offers = offersTools && own.toolsOf != null ? await offeredTools(deps, actor, own.toolsOf.name) : [];
  const persona = { ...own, replaced: system, offered: offers };
  await turnFor(body, actor.userId);
  return { ...composeChat(persona, body), persona };
}

/**
 * A virtual agent is its publisher's: while that is gone nobody answers for it, though another member of the pool could.
 * Who may wait, waits for it as for a member; one that its worker publishes no more is refused.
 * @throws McpctlError `no_active_llm`
 */
async function needPublisher(
  deps: Pick<EdgeDeps, 'liveness'>,
  { name, publisher }: Pick<Persona, 'name'> & { publisher: Publisher | null },
  { mayWait }: { mayWait: boolean },
): Promise<void> {
  if (!publisher) return;
  const whyNot = (await lookAtPublishers(deps.liveness, [publisher]))(publisher);
  if (whyNot === null || (whyNot === 'publisher_gone' && mayWait)) return;
  const sentence =
    whyNot === 'unpublished'
      ? `The agent '${name}' is not published any more; ask its owner.`
      : `The agent '${name}' is not there now: the worker that publishes it is gone.`;
  throw new McpctlError('no_active_llm', sentence, { retryAfterS: 5 });
}
