import { elementsAt, memberOf, memberText, topLevelMembers, type Member } from '../text/json-text.ts';
import type { Operation } from '../llm.ts';

/** How many choices, or vectors, a request asks for; 1 where it does not say. Reads the body as the text it is. */
export function askedFor(operation: Operation, body: string): number {
  switch (operation) {
    case 'chat':
      return body.includes('"n"') ? timesOf(topLevelMembers(body), body) : 1;
    case 'completions': {
      const members = topLevelMembers(body);
      return timesOf(members, body) * itemsAt(members, { body, key: 'prompt' });
    }
    case 'embeddings':
      return itemsAt(topLevelMembers(body), { body, key: 'input' });
    case 'responses':
    case 'messages':
      return 1;
  }
}

/** How many choices, or vectors, there must be: one for each text, however many were asked for of it. */
export function leastFor(operation: Operation, body: string): number {
  if (operation !== 'completions' && operation !== 'embeddings') return 1;
  const key = operation === 'completions' ? 'prompt' : 'input';
  return itemsAt(topLevelMembers(body), { body, key });
}

function timesOf(members: readonly Member[] | undefined, body: string): number {
  const times = Number(memberText(body, 'n', members ?? []) ?? 1);
  return Number.isSafeInteger(times) && times > 0 ? times : 1;
}

/** A list of texts, or of lists of token ids, is as many items as it has; a text and a list of ids are one. */
function itemsAt(
  members: readonly Member[] | undefined,
  { body, key }: { body: string; key: string },
): number {
  const member = memberOf(members, key);
  const items = (member && elementsAt(body, member.valueStart)) ?? [];
  const isEach = items.every(({ start }) => body[start] === '"' || body[start] === '[');
  return items.length > 0 && isEach ? items.length : 1;
}
