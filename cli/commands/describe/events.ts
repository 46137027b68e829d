import { McpctlError } from '../../../core/errors.ts';
import { catalogueEntry } from '../../../core/resources/catalogue.ts';
import { audit } from '../../../core/resources/people/audit.ts';
import type { Client } from '../../net/client.ts';
import { columnsOf } from '../../resources/shown.ts';
import { tableLines } from '../../say/table.ts';
import type { Look } from './look.ts';

const MOST = 5;
const shown = ['AT', 'ACTOR', 'VERB', 'OUTCOME', 'CHANGED'];

/** What was done to one last, newest first, as far as one may see it; nothing from a server that keeps no audit. */
export async function eventLines(
  client: Client,
  { resource, name }: { resource: string; name: string },
  { instant, paint }: Look,
): Promise<string[]> {
  const entry = catalogueEntry(audit);
  try {
    const { items } = await client.resources.first(entry, { resource, name }, MOST);
    if (items.length === 0) return [];
    const columns = columnsOf(entry, instant).filter(({ head }) => shown.includes(head));
    const lines = tableLines(items, columns, { headers: true, paint });
    return ['', paint.bold('Events:'), ...lines.map((line) => `  ${line}`)];
  } catch (thrown) {
    if (thrown instanceof McpctlError) return [];
    throw thrown;
  }
}
