import { createHash } from 'node:crypto';
import { AlikeNames, toolNaming } from './alike-names.ts';
import { isJson, listOf, type Json } from './json.ts';

/*
 * Values of other protocols as chat takes them: OpenAI's own limits are narrower than those of its Responses and of
 * Anthropic's Messages, and what is refused for its value is refused for ever, as clients send it again with each turn.
 */

/** The names of the tools of a Responses or Messages body, in its order. */
export function toolNamesIn(body: Json): string[] {
  return listOf(body['tools']).flatMap((tool) =>
    isJson(tool) && typeof tool['name'] === 'string' ? [tool['name']] : [],
  );
}

/**
 * What the tools of a request are called in chat: Claude Code calls those of an MCP server longer than 64 characters
 * (packit/ai-workflows#619). @param names as `toolNamesIn` has them: the same always give the same.
 */
export const chatNames = (names: readonly string[]): AlikeNames => new AlikeNames(names, toolNaming);

const MOST_ID = 40;

/** The id of a call, of whichever protocol: vercel/ai#5171, agno-agi/agno#5382 (`fc_…` of Responses). */
export const chatCallId = (id: string): string =>
  id.length <= MOST_ID ? id : `call_${digest(id).slice(0, 32)}`;

const MOST_USER = 64;

/** Who asks: Claude Code says 150 characters and more. */
export const chatUser = (user: string): string => (user.length <= MOST_USER ? user : digest(user));

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url');

const efforts: ReadonlyMap<string, string> = new Map(
  Object.entries({ max: 'high', xhigh: 'high', minimal: 'low' }),
);

/** How much to think, in the words that all who know `reasoning_effort` have: vLLM refuses any other. */
export const chatEffort = (effort: string): string => efforts.get(effort) ?? effort;

/** What a function takes: OpenAI refuses an object that names no properties. */
export function chatParameters(schema: Json): Json {
  return schema['type'] === 'object' && !isJson(schema['properties'])
    ? { ...schema, properties: {} }
    : schema;
}
