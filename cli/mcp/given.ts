import { McpctlError } from '../../core/errors.ts';
import type { Written } from '../../core/mcp/pipeline/as-written.ts';
import { jsonValue } from '../../core/text/json-text.ts';
import { pairIn } from '../input/params.ts';
import { readFileText } from '../input/stdin.ts';
import type { Context } from '../who/context.ts';
import type { Tool } from './project-tools.ts';

/** Arguments, and the object that they are as it is written. */
interface Given extends Written {
  value: Record<string, unknown>;
}

/**
 * The arguments of a call as a person writes them: `key=value` each, by the types that the tool's schema says, or all of them as
 * one JSON object, as text or `@FILE`. @throws McpctlError `usage`.
 */
export async function givenOf(
  { interrupts }: Pick<Context, 'interrupts'>,
  parts: readonly string[],
  tool: Tool | undefined,
): Promise<Given> {
  const [first, ...more] = parts;
  if (first !== undefined && more.length === 0 && /^[@{]/.test(first))
    return objectOf(first.startsWith('@') ? await readFileText(interrupts, first.slice(1)) : first);
  const value: Record<string, unknown> = {};
  const texts: string[] = [];
  for (const part of parts) {
    const pair = pairIn(part);
    if (!pair)
      throw new McpctlError('usage', `"${part}" is no argument: write key=value, or one JSON object.`);
    const [key, written] = pair;
    if (Object.hasOwn(value, key)) throw new McpctlError('usage', `There are two values of "${key}".`);
    const text = written.startsWith('@') ? await readFileText(interrupts, written.slice(1)) : written;
    value[key] = valueOf(key, text, tool);
    texts.push(
      `${JSON.stringify(key)}:${typeof value[key] === 'string' ? JSON.stringify(value[key]) : text}`,
    );
  }
  return { value, text: `{${texts.join(',')}}` };
}

function objectOf(text: string): Given {
  const json = jsonValue(text);
  if (typeof json === 'object' && json !== null && !Array.isArray(json))
    return { value: json as Record<string, unknown>, text };
  throw new McpctlError('usage', 'The arguments are to be one JSON object, as {"path": "/"}.');
}

/** What the schema says nothing of is a text, unless it is JSON of another kind. */
function valueOf(key: string, text: string, tool: Tool | undefined): unknown {
  const type = typeOf(tool?.inputSchema.properties?.[key]);
  if (type === 'string') return text;
  const json = jsonValue(text);
  if (type === undefined) return json === undefined ? text : json;
  if (json === undefined)
    throw new McpctlError('usage', `${key} is to be of type ${type}; "${text}" is not.`);
  return json;
}

function typeOf(schema: unknown): string | undefined {
  const type = (schema as { type?: unknown } | null | undefined)?.type;
  return typeof type === 'string' ? type : undefined;
}
