import { McpctlError } from '../../../core/errors.ts';
import { catalogueEntry, type CatalogueEntry } from '../../../core/resources/catalogue.ts';
import { instantsFor } from '../../say/columns.ts';
import type { Context } from '../../who/context.ts';
import type { Format } from '../../say/formats.ts';
import { listingOf, printListings } from '../../say/print.ts';
import { columnsOf } from '../../resources/shown.ts';
import { readText } from '../../input/stdin.ts';
import { calledOf, type Keyed } from '../../keyed.ts';
import { warningsOf } from '../../net/views.ts';
import { serversIn, trustLines } from '../../mcp/change-lines.ts';
import type { Client } from '../../net/client.ts';
import { agent as agentResource } from '../../../core/resources/talk/agent.ts';
import { paramsOf } from '../../input/params.ts';

export interface CreateOneOptions {
  entry: CatalogueEntry;
  name: string;
  /** As typed, by the names of the fields; a field's `<name>File` is the file with its text. */
  fields: Readonly<Record<string, unknown>>;
  output: Format;
}

export async function runCreateOne(
  ctx: Context,
  { entry, name, fields, output }: CreateOneOptions,
): Promise<void> {
  const body = await bodyFor(ctx, { entry, name, fields: spelledOut(fields) });
  const client = await ctx.client();
  const made = await client.resources.create(entry, body);
  if (fields['default'] === true) await makeDefault(client, made);
  await printMade(ctx, { entry, made, output });
  for (const warning of warningsOf(made)) ctx.out.note(warning);
  for (const line of await trustedIn(client, entry, made)) ctx.out.note(line);
  if (entry.word !== 'rbac') return;
  const { sayDoubts } = await import('./rbac-doubts.ts');
  await sayDoubts({ client, out: ctx.out }, entry, made);
}

/** What a project that was just made trusts of its servers' tools, as they are now. */
const trustedIn = async (client: Client, { word }: CatalogueEntry, { key, raw }: Keyed): Promise<string[]> =>
  word === 'project' ? await trustLines(client, { project: key, servers: serversIn(raw) }) : [];

/** Fields that were said in another way (create-one.ts) as they are called. @throws McpctlError `usage` */
function spelledOut(fields: CreateOneOptions['fields']): CreateOneOptions['fields'] {
  const { system, systemFile, file, param, private: isPrivate, ...others } = fields;
  return {
    ...others,
    ...(system !== undefined && { systemPrompt: system }),
    ...(systemFile !== undefined && { systemPromptFile: systemFile }),
    ...(file !== undefined && { contentFile: file }),
    ...(Array.isArray(param) && { defaultParams: JSON.stringify(paramsOf(param.map(String))) }),
    ...(isPrivate === true && { visibility: 'private' }),
  };
}

/** Of a personality that was just made: its agent says it from now on. It stays where the agent is somebody's who publishes it. */
async function makeDefault(client: Client, { raw }: Keyed): Promise<void> {
  await client.resources.change(catalogueEntry(agentResource), String(raw['agent']), {
    defaultPersonality: raw['name'],
  });
}

/** What was said of it. @throws McpctlError `usage` */
export async function bodyFor(
  ctx: Context,
  { entry, name, fields }: Omit<CreateOneOptions, 'output'>,
): Promise<Record<string, unknown>> {
  const body: Record<string, unknown> = { name };
  for (const field of entry.fields) {
    const file = fields[`${field.name}File`];
    const value =
      typeof file === 'string'
        ? await readText(ctx, file)
        : field.item
          ? itemsOf(field.item, fields[camel(field.item.flag)])
          : valueOf(field, fields[field.name]);
    if (value !== undefined) body[field.name] = value;
  }
  return body;
}

/** As commander names the option `--mcp-server`. */
const camel = (flag: string): string => flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

/** What was made, as it was asked for. */
export async function printMade(
  ctx: Context,
  { entry, made, output }: { entry: CatalogueEntry; made: Keyed; output: Format },
): Promise<void> {
  if (output === 'table' || output === 'wide') {
    ctx.out.line(`${entry.word}/${calledOf(made)} created`);
    return;
  }
  const columns = columnsOf(entry, instantsFor({ clock: ctx.clock, tty: false }));
  const look = { format: output, headers: true, single: true };
  await printListings(ctx, [listingOf(entry.word, [made], columns)], look);
}

/** `run:llm:gpt` as its members; the last has whatever colons are left. */
function itemsOf(
  { parts, numbers = [] }: NonNullable<CatalogueEntry['fields'][number]['item']>,
  input: unknown,
): unknown {
  if (!Array.isArray(input)) return undefined;
  return input.map((each: unknown) => {
    const words = String(each).split(':');
    if (parts.length === 0) return String(each);
    const rest = words.slice(parts.length - 1).join(':');
    const members = [...words.slice(0, parts.length - 1), ...(rest === '' ? [] : [rest])];
    return Object.fromEntries(
      members.map((member, at): [string, string | number] => {
        const name = parts[at] ?? '';
        return [name, numbers.includes(name) && /^\d+$/.test(member) ? Number(member) : member];
      }),
    );
  });
}

/** @throws McpctlError `usage` for digits or JSON that are none. */
function valueOf({ name, kind }: CatalogueEntry['fields'][number], input: unknown): unknown {
  if (typeof input !== 'string') return input;
  if (kind === 'number') {
    if (input.trim() !== '' && Number.isFinite(Number(input))) return Number(input);
    throw new McpctlError('usage', `--${name} must be a number.`);
  }
  if (kind !== 'json') return input;
  try {
    return JSON.parse(input) as unknown;
  } catch {
    throw new McpctlError('usage', `--${name} must be JSON.`);
  }
}
