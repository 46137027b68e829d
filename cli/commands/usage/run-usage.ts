import { z } from 'zod';
import { McpctlError } from '../../../core/errors.ts';
import type { Context } from '../../who/context.ts';
import type { Call } from '../../net/http.ts';
import { pour } from '../../say/output.ts';
import { yamlOf } from '../../say/print.ts';
import { tableLines, type Column } from '../../say/table.ts';

export interface UsageOptions {
  by: 'user' | 'token' | 'llm' | 'pool';
  hours?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
  bucket?: 'hour' | 'day' | undefined;
  output: 'table' | 'json' | 'yaml' | 'csv';
  headers: boolean;
}

const count = z.number().nullable().catch(null);
/** Of a newer server there may be more, of one of the last release less. */
const usedSchema = z.looseObject({
  at: z.string().optional().catch(undefined),
  name: z.string(),
  user: z.string().optional().catch(undefined),
  keyId: z.string().optional().catch(undefined),
  tasks: count,
  completed: count,
  failed: count,
  tokensIn: count,
  tokensOut: count,
  minutes: count,
});
type Used = z.infer<typeof usedSchema>;
const pageSchema = z.object({ items: z.array(usedSchema), next: z.string().nullish() });

/** Shows what was used, or writes it out. @throws McpctlError. */
export async function runUsage(ctx: Context, { output, headers, ...asked }: UsageOptions): Promise<void> {
  const { by, hours, since: from, until: to, bucket } = asked;
  const query = { by, hours, from, to, bucket };
  if (output === 'csv') return await download(ctx, query);
  const items = await allOf(ctx, query);
  const { out, terminal } = ctx;
  if (output === 'json') return out.line(JSON.stringify(items, null, 2));
  if (output === 'yaml') return out.data(await yamlOf(items));
  if (items.length === 0) return out.note('No task that you may see ended in that time.');
  const fit = terminal.tty.stdout ? terminal.size().columns : 0;
  for (const line of tableLines(items, columnsOf(asked), { headers, paint: out.paint, fit }))
    out.styled(line);
}

const columnsOf = ({ by, bucket }: Pick<UsageOptions, 'by' | 'bucket'>): Column<Used>[] => [
  ...(bucket === undefined
    ? []
    : [
        {
          head: bucket === 'day' ? 'DAY' : 'HOUR',
          of: ({ at = '' }: Used) => at.slice(0, bucket === 'day' ? 10 : 16),
        },
      ]),
  { head: by.toUpperCase(), of: ({ name }) => name },
  ...(by === 'token' ? [{ head: 'USER', of: ({ user }: Used) => user }] : []),
  { head: 'TASKS', of: ({ tasks }) => tasks },
  { head: 'COMPLETED', of: ({ completed }) => completed, spare: true },
  { head: 'FAILED', of: ({ failed }) => failed },
  { head: 'TOKENS-IN', of: ({ tokensIn }) => tokensIn },
  { head: 'TOKENS-OUT', of: ({ tokensOut }) => tokensOut },
  { head: 'MINUTES', of: ({ minutes }) => minutes?.toFixed(1) },
];

type Query = NonNullable<Call['query']>;
const path = '/api/v1/usage';

async function allOf(ctx: Context, query: Query): Promise<Used[]> {
  const http = await ctx.http();
  const items: Used[] = [];
  for (let after: string | undefined; ;) {
    const answer = await http.json({ method: 'GET', path, query: { ...query, after } });
    const { data: page } = pageSchema.safeParse(answer);
    if (!page) throw new McpctlError('bad_answer', 'The server told no usage that this release understands.');
    items.push(...page.items);
    if (page.next == null) return items;
    if (page.next === after) throw new McpctlError('bad_answer', 'The list of the server does not end.');
    after = page.next;
  }
}

/** As the server writes it. */
async function download(ctx: Context, query: Query): Promise<void> {
  const http = await ctx.http();
  const { body } = await http.open({ method: 'GET', path, query: { ...query, format: 'csv' } });
  try {
    await pour(ctx, body);
  } catch (thrown) {
    throw http.explain(thrown);
  }
}
