import { McpctlError } from '../../../core/errors.ts';
import { catalogueEntry } from '../../../core/resources/catalogue.ts';
import { llm } from '../../../core/resources/llm.ts';
import type { Client } from '../../net/client.ts';
import { plain } from '../../../core/runtime/plain.ts';
import { instantsFor } from '../../say/columns.ts';
import type { Context } from '../../who/context.ts';
import type { ObjectFormat } from '../../say/formats.ts';
import { hinted } from '../../hint.ts';
import { objectOf, printObject } from '../../say/print.ts';
import { namedRefsOf } from '../../resources/refs.ts';
import { linesFor } from '../../resources/shown.ts';
import { typesFor, type Type } from '../../resources/types.ts';
import { composedLines } from '../../talk/composed-lines.ts';
import { eventLines } from './events.ts';
import type { Look } from './look.ts';
import { poolBlock, poolLines } from './pool-lines.ts';
import { moreLines } from './talk-lines.ts';
import { taskLines } from './task-lines.ts';
import { turnLines } from './turn-lines.ts';

export interface DescribeOptions {
  args: string[];
  output: ObjectFormat;
  /** Of agents: what they would be told. */
  effective: boolean;
  personality?: string | undefined;
  /** Of secrets: what they are, which takes the right to reveal them. */
  showValues?: boolean;
  /** Of a thread: that turn, in full. */
  turn?: number | undefined;
}

interface Described {
  /** What names it in the audit. */
  key: string;
  object: Readonly<Record<string, unknown>>;
  lines: () => string[];
}

export async function runDescribe(ctx: Context, options: DescribeOptions): Promise<void> {
  const refs = namedRefsOf(options.args, await typesFor(ctx, 'describe', options.args));
  const client = await ctx.client();
  const look: Look = {
    instant: instantsFor({ clock: ctx.clock, tty: ctx.terminal.tty.stdout }),
    paint: ctx.out.paint,
  };
  for (const [n, { type, name }] of refs.entries()) {
    if (n > 0) ctx.out.line(options.output === 'yaml' ? '---' : '');
    const described = await hinted(client, { type: type.word, name }, () => {
      if (options.effective) return effective(client, { type, name, ...options });
      if (options.turn !== undefined) return turnOf(client, { type, name, n: options.turn }, look);
      const shows = options.showValues === true ? revealed : describe;
      return shows(client, { type, name }, look);
    });
    await printObject(ctx.out, options.output, described);
    if (options.output !== 'text' || options.effective || options.turn !== undefined) continue;
    const about = { resource: type.word, name: described.key };
    for (const line of await eventLines(client, about, look)) ctx.out.line(line);
  }
}

/** @throws McpctlError `usage` of what is no agent. */
async function effective(
  client: Client,
  { type, name, personality }: { type: Type; name: string; personality?: string | undefined },
): Promise<Described> {
  if (type.word !== 'agent')
    throw new McpctlError('usage', `--effective is of an agent, and ${type.word}/${name} is none.`);
  const asked = personality === undefined ? {} : { personality: personality === 'none' ? '' : personality };
  const composed = await client.turns.compose(name, { message: '…', ...asked });
  return { key: name, object: { resource: 'composed', ...composed }, lines: () => composedLines(composed) };
}

/** @throws McpctlError `usage` of what is no thread. */
async function turnOf(
  client: Client,
  { type, name, n }: { type: Type; name: string; n: number },
  look: Look,
): Promise<Described> {
  if (type.word !== 'thread')
    throw new McpctlError('usage', `--turn is of a thread, and ${type.word}/${name} is none.`);
  const turn = await client.turns.detail({ threadId: name, turn: n });
  return { key: name, object: { resource: 'turn', ...turn }, lines: () => turnLines(turn, look) };
}

/** Masks with what they stand for. @throws McpctlError `usage` of what is no secret. */
async function revealed(
  client: Client,
  { type, name }: { type: Type; name: string },
  look: Look,
): Promise<Described> {
  if (type.word !== 'secret')
    throw new McpctlError('usage', `--show-values is of a secret, and ${type.word}/${name} is none.`);
  const { key, object, lines } = await describe(client, { type, name }, look);
  const { data } = await client.secrets.reveal(name);
  const values = Object.entries(data).map(([each, value]) => `  ${each}: ${plain(JSON.stringify(value))}`);
  return { key, object: { ...object, data }, lines: () => [...lines(), '', 'Values:', ...values] };
}

async function describe(
  client: Client,
  { type, name }: { type: Type; name: string },
  look: Look,
): Promise<Described> {
  const special = describers[type.word];
  if (special) return special(client, name, look);
  const { entry } = type;
  if (!entry) throw new McpctlError('usage', `There is nothing to tell of a ${type.word}.`);
  const item = await client.resources.get(entry, name);
  const more = (await moreLines[type.word]?.(client, item, look)) ?? [];
  return {
    key: item.key,
    object: objectOf(type.word, item),
    lines: () => [...linesFor(entry, item, look.instant), ...more],
  };
}

/** Of those whose lines are more than a list of facts. */
const describers: Readonly<Record<string, (client: Client, name: string, look: Look) => Promise<Described>>> =
  {
    llm: async (client, name, look) => {
      const entry = catalogueEntry(llm);
      const [item, pool] = await Promise.all([client.resources.get(entry, name), client.llms.members(name)]);
      const object = { ...objectOf(llm.word, item), members: pool.raw['members'] };
      const lines = () => [...linesFor(entry, item, look.instant), ...poolBlock(pool, look)];
      return { key: item.key, object, lines };
    },
    pool: async (client, name, look) => {
      const pool = await client.pools.get(name);
      return { key: pool.key, object: { resource: 'pool', ...pool.raw }, lines: () => poolLines(pool, look) };
    },
    task: async (client, name, look) => {
      const task = await client.tasks.get(name);
      return { key: task.key, object: { resource: 'task', ...task.raw }, lines: () => taskLines(task, look) };
    },
  };
