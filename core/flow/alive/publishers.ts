import type { Publisher } from '../../registry/agents/publishers.ts';
import type { Liveness } from './liveness.ts';

/** Why nobody publishes a virtual agent now. */
export type Unpublished = 'publisher_gone' | 'unpublished';

/**
 * Which of these publishers are there. What is stored of one is its session alone, so that a goodbye, a lapse and a heartbeat are
 * the agent's too, whichever release wrote them down.
 * @returns why one is not; null: it is there, or there is none, as of an agent that is kept here.
 */
export async function lookAtPublishers(
  liveness: Pick<Liveness, 'sessions'>,
  publishers: readonly (Publisher | null | undefined)[],
): Promise<(publisher: Publisher | null | undefined) => Unpublished | null> {
  const asked = publishers.flatMap((publisher) =>
    publisher && !publisher.isUnpublished && !publisher.hasLeft ? (publisher.sessionId ?? []) : [],
  );
  const isLive = await liveness.sessions([...new Set(asked)]);
  return (publisher) => {
    if (!publisher) return null;
    if (publisher.isUnpublished) return 'unpublished';
    const { sessionId, hasLeft } = publisher;
    return sessionId === null || hasLeft || !isLive(sessionId) ? 'publisher_gone' : null;
  };
}
