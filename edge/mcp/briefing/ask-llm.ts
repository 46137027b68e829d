import { z } from 'zod';
import type { Actor } from '../../../core/access.ts';
import { messageOf } from '../../../core/errors.ts';
import { sleepersIn } from '../../../core/flow/alive/sleepers.ts';
import { jsonValue } from '../../../core/text/json-text.ts';
import type { MeantName } from '../../../core/registry/names/meant.ts';
import type { Priority } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import { aim } from '../../inference/ask/aim.ts';
import { readRequest } from '../../inference/ask/request.ts';
import { targetOf } from '../../inference/ask/target.ts';
import { askQuietly } from '../../inference/ask-quietly.ts';

export interface LlmQuestion {
  /** No agent: those may have tools. */
  llm: MeantName;
  messages: readonly { role: 'system' | 'user'; content: string }[];
  mostTokens: number;
  withinMs: number;
  /** As who waits for it, unless told. */
  priority?: Priority;
  /** Aborts when nobody wants the answer any more. */
  left: AbortSignal;
}

const answerSchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string() }) })).min(1),
});

/**
 * Asks an llm a small question on behalf of who calls: as a task of theirs, where they may call it and somebody is there to answer. Null: it
 * has not answered in time, or cannot; then there is another way, always.
 */
export async function askLlm(
  deps: EdgeDeps,
  actor: Actor,
  { llm, messages, mostTokens, withinMs, left, priority = 'interactive' }: LlmQuestion,
): Promise<string | null> {
  const until = deps.clock.elapsed() + withinMs;
  try {
    const body = JSON.stringify({ model: llm.name, messages, max_tokens: mostTokens, temperature: 0 });
    const request = await readRequest('chat', body, { owner: actor.userId });
    const aimed = await aim(deps, actor, {
      ...{ request, llmName: llm.name, ownedBy: llm.ownerId },
      ...{ translation: null, pin: undefined, mayWait: false },
    });
    if (aimed.agent) return null;
    const order = {
      ...aimed,
      ...({ llmName: llm.name, source: 'mcp', headers: {}, key: null } as const),
      priority,
      ...({ retention: 'keep', policy: { onDisconnect: 'cancel', graceSeconds: null } } as const),
      queueMs: withinMs,
    };
    const leftMs = Math.max(1, until - deps.clock.elapsed());
    const answered = await askQuietly(deps, actor, { order, withinMs: leftMs, left });
    const parsed = answerSchema.safeParse(jsonValue(answered ?? ''));
    return parsed.data?.choices[0]?.message.content ?? null;
  } catch (thrown) {
    deps.log.debug({ why: messageOf(thrown) }, 'an llm that was to help with a call could not');
    return null;
  }
}

/** Somebody has begun to use a project that may ask its llm: one that sleeps wakes meanwhile. Never rejects. */
export async function wakeLlm(
  deps: EdgeDeps,
  actor: Actor,
  { name: asked, ownerId: ownedBy }: MeantName,
): Promise<void> {
  const { lookAtPool, wakings, log } = deps;
  try {
    const { poolKey, agent } = await targetOf(deps, actor, {
      ...{ asked, ownedBy, pin: undefined, mayWait: true, translation: null },
      needs: { operation: 'chat', tools: false, vision: false, tokenIds: false, aboutTokens: 0 },
    });
    const [sleeper] = agent === null ? sleepersIn(await lookAtPool(poolKey), null) : [];
    if (!sleeper) return;
    wakings.watch(sleeper);
    wakings.want(sleeper.llmId);
  } catch (thrown) {
    log.debug({ why: messageOf(thrown) }, 'the llm of a project could not be waked ahead');
  }
}
