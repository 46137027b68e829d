import { McpctlError } from '../errors.ts';
import type { Extras } from './extras.ts';
import { letThrough } from './let-through.ts';
import { withOffered, type OfferedTool } from './offered.ts';
import {
  elementsAt,
  memberOf,
  membersAt,
  memberText,
  topLevelMembers,
  type Member,
} from '../text/json-text.ts';

/** Texts and defaults of an agent, as they stand now (core/registry/agents/agents.ts reads them). */
export interface Persona {
  id: string;
  name: string;
  revision: number;
  systemPrompt: string;
  /** The text of a JSON object: it is spliced, never parsed, so that every number stays as it is written. */
  defaultParams: string;
  extras: Extras;
  /** The project whose tools it is offered; null: none's. */
  toolsOf?: { id: string; name: string } | null;
  prompts: readonly PersonaPrompt[];
  /** What it was asked for with, or has where nothing is asked for. */
  personality: { id: string; name: string; revision: number } | null;
  /** Prompts that the personality has, and the agent has no longer in reach: they are not said. */
  outOfReach: readonly { id: string; name: string }[];
  /** What a call says in place of the system prompt. */
  replaced?: string | undefined;
  /** The tools of its project that are offered with the call's. */
  offered?: readonly OfferedTool[] | undefined;
}

export interface PersonaPrompt {
  id: string;
  name: string;
  of: 'agent' | 'project' | 'personality';
  priority: number;
  revision: number;
  content: string;
}

/** What a part of the system message is from; of a call's own texts, before or behind the agent's, there is no more to say than their bytes. */
export interface Piece {
  source: 'agent' | 'agent prompt' | 'project prompt' | 'personality prompt' | 'call';
  id: string | null;
  name: string | null;
  revision: number | null;
  priority: number | null;
  bytes: number;
}

export interface Composed {
  /** The body of a chat, as members get it. */
  body: string;
  pieces: Piece[];
  /** How many characters of the system message are the agent's: the first of them. */
  system: number;
  /** The names of its default parameters that are in the body. */
  params: string[];
  /** Tools of the call that the agent does not let through. */
  toolsLeft: string[];
  /** Names of the project's tools that are in the body. */
  offered: string[];
  /** The most tokens that the answer may have; null: it says nothing of it. */
  answerTokens: number | null;
}

/** The texts of an agent and its prompts together; more is not sent. */
export const MOST_PERSONA_BYTES = 262_144;

const SEPARATOR = '\n\n';
/** In a call either takes the place of both. */
const limits = ['max_tokens', 'max_completion_tokens'];
const systemRoles = new Set(['system', 'developer']);

type Text = Omit<Piece, 'bytes'> & { text: string };

/**
 * The one function that makes of an agent and a call the body that is sent: the same bytes for the same texts, whoever runs
 * it. One system message, first: system prompt, agent's prompts, project's prompts, the personality's, the system texts of the call. In a section
 * the highest priority is first, then names by bytes, then ids. A call that has the agent's text at its beginning already, as
 * one that is made again, has it once.
 * @param body of a chat; what it says is checked by then.
 * @param spoken the messages that are sent in place of those that the body has besides system texts: of a thread there are thousands,
 *   and none of them is looked at again.
 * @throws McpctlError `invalid_json`, `invalid_request` for a system message that is no text, or that the agent takes from nobody.
 */
export function composeChat(persona: Persona, body: string, spoken?: readonly string[]): Composed {
  const members = topLevelMembers(body);
  const messages = memberOf(members, 'messages');
  if (!members || !messages) throw new McpctlError('invalid_json');
  const own = textsOf(persona);
  const { texts, others } = messagesIn(body, messages);
  const conversation = spoken ?? others;
  const ownText = joined(own);
  const called = callsOwn(texts, ownText);
  if (persona.extras.refusesSystem && (called !== '' || persona.replaced !== undefined)) throw noSystem();
  const system = [ownText, called].filter((text) => text !== '').join(SEPARATOR);
  const first = system === '' ? [] : [`{"role":"system","content":${JSON.stringify(system)}}`];
  const { kept, defaults } = paramsOf(persona.defaultParams, { body, members });
  // Of two members of one name the last is the one that counts.
  const once = kept.filter((member) => member.key !== 'messages' || member === messages);
  const { allowedTools } = persona.extras;
  const { members: fromCall, left: toolsLeft } = letThrough(body, once, allowedTools);
  const { members: through, names: offered } = withOffered(fromCall, persona.offered ?? [], allowedTools);
  const parts = through.map(({ key, text }) =>
    key === 'messages' ? `"messages":[${[...first, ...conversation].join(',')}]` : text,
  );
  return {
    body: `{${[...parts, ...defaults.map(({ text }) => text)].join(',')}}`,
    pieces: [...own, ...(called === '' ? [] : [ofCall(called)])].map(({ text, ...piece }) => ({
      ...piece,
      bytes: Buffer.byteLength(text),
    })),
    system: ownText.length,
    params: defaults.map(({ name }) => name),
    toolsLeft,
    offered,
    answerTokens: answerTokensOf([...through, ...defaults.map(({ name: key, text }) => ({ key, text }))]),
  };
}

/** Of two limits the last is the one that counts. */
function answerTokensOf(members: readonly { key: string; text: string }[]): number | null {
  const limit = members.findLast(({ key }) => limits.includes(key))?.text;
  const count = limit === undefined ? 0 : Number(limit.slice(limit.indexOf(':') + 1));
  return Number.isInteger(count) && count > 0 ? count : null;
}

/**
 * A prompt as it is told, without the ends of lines that it ends in. They are looked for where a run of them begins alone: from each of many it
 * would take their square.
 */
export const trimmed = (text: string): string => text.replace(/(?<![\r\n])[\r\n]+$/, '');
const joined = (texts: readonly Pick<Text, 'text'>[]): string =>
  texts.map(({ text }) => text).join(SEPARATOR);

const noSystem = (): McpctlError =>
  new McpctlError('invalid_request', 'This agent takes no system texts of its callers: leave them out.');

const ofCall = (text: string): Text => ({
  ...{ source: 'call', id: null, name: null, revision: null, priority: null },
  text,
});

function textsOf({ id, name, revision, systemPrompt, prompts, replaced }: Persona): Text[] {
  const of = (section: PersonaPrompt['of']): Text[] =>
    prompts
      .filter((prompt) => prompt.of === section)
      .sort(inOrder)
      .map(({ of: from, content, ...prompt }) => ({ source: `${from} prompt`, ...prompt, text: content }));
  const own: Text = { source: 'agent', id, name, revision, priority: null, text: systemPrompt };
  const first = replaced === undefined ? own : ofCall(replaced);
  return [first, ...of('agent'), ...of('project'), ...of('personality')]
    .map((piece) => ({ ...piece, text: trimmed(piece.text) }))
    .filter(({ text }) => text !== '');
}

/** Names are ASCII, and ids too: as JavaScript compares them, bytes do. */
function inOrder(a: PersonaPrompt, b: PersonaPrompt): number {
  if (a.priority !== b.priority) return b.priority - a.priority;
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

function callsOwn(texts: readonly string[], ownText: string): string {
  const all = texts
    .map(trimmed)
    .filter((text) => text !== '')
    .join(SEPARATOR);
  if (ownText === '' || all === ownText) return ownText === '' ? all : '';
  return all.startsWith(ownText + SEPARATOR) ? all.slice(ownText.length + SEPARATOR.length) : all;
}

/** The system texts of a call, and its other messages as they are written. */
function messagesIn(body: string, { valueStart }: Member): { texts: string[]; others: string[] } {
  const elements = elementsAt(body, valueStart);
  if (!elements) throw new McpctlError('invalid_json');
  const texts: string[] = [];
  const others: string[] = [];
  for (const [at, { start, end }] of elements.entries()) {
    const members = membersAt(body, start)?.members ?? [];
    const role = memberText(body, 'role', members);
    const isSystem = role !== undefined && role.length < 64 && systemRoles.has(String(parsed(role)));
    if (isSystem) texts.push(...contentTexts(parsed(memberText(body, 'content', members) ?? 'null'), at));
    else others.push(body.slice(start, end));
  }
  return { texts, others };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new McpctlError('invalid_json');
  }
}

function contentTexts(content: unknown, at: number): string[] {
  if (content === null) return [];
  const parts: unknown[] = Array.isArray(content) ? content : [content];
  return parts.map((part) => {
    const text = typeof part === 'string' ? part : (part as { text?: unknown } | null)?.text;
    if (typeof text === 'string') return text;
    const message = 'a system message to an agent is a text, or a list of texts';
    throw new McpctlError('invalid_request', undefined, {
      details: [{ path: `messages.${at}.content`, message }],
    });
  });
}

/** What the call says itself, without each `null` that only takes a default away; and the defaults that are left. */
function paramsOf(
  defaultParams: string,
  { body, members }: { body: string; members: readonly Member[] },
): { kept: Member[]; defaults: { name: string; text: string }[] } {
  const all = topLevelMembers(defaultParams) ?? [];
  const keys = new Set(members.map(({ key }) => key));
  const isSaid = (name: string): boolean =>
    keys.has(name) || (limits.includes(name) && limits.some((limit) => keys.has(limit)));
  const left = all.filter(({ key }) => !isSaid(key));
  const has = (name: string): boolean =>
    all.some(({ key }) => key === name || (limits.includes(name) && limits.includes(key)));
  return {
    kept: members.filter(
      ({ key, valueStart, valueEnd }) => !(body.slice(valueStart, valueEnd) === 'null' && has(key)),
    ),
    defaults: left.map(({ key, keyStart, valueEnd }) => ({
      name: key,
      text: defaultParams.slice(keyStart, valueEnd),
    })),
  };
}
