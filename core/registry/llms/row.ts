import { can, type Actor } from '../../access.ts';
import { llmRowSchema, type LlmCreate, type LlmRow } from '../../llm.ts';
import { canonical } from '../canonical.ts';

export const parseLlm = (row: unknown): LlmRow => llmRowSchema.parse(row);
/** Of a statement that returns exactly one row. */
export const parseOne = (rows: readonly unknown[]): LlmRow => parseLlm(rows[0]);
export const parseLlms = (rows: readonly unknown[]): LlmRow[] => rows.map(parseLlm);

export function columnsOf(llm: LlmCreate) {
  return {
    type: llm.type,
    model: llm.model,
    url: llm.url,
    tier: llm.tier ?? null,
    apiKeyRef: llm.apiKeyRef ?? null,
    poolName: llm.poolName ?? null,
    aliases: [...new Set(llm.aliases ?? [])].sort(),
    description: llm.description ?? '',
    capabilities: llm.capabilities ?? {},
    maxConcurrency: llm.maxConcurrency ?? null,
  };
}
export type Columns = ReturnType<typeof columnsOf>;

/** The columns whose new value differs from the row's. */
export function changesOf<C extends Partial<Columns>>(row: LlmRow, columns: C): Partial<C> {
  const changed = Object.entries(columns).filter(
    ([name, value]) => canonical(value) !== canonical(row[name as keyof LlmRow]),
  );
  return Object.fromEntries(changed) as Partial<C>;
}

/** What rights ask of a row. */
export const targetOf = ({ name, ownerId, poolKey }: LlmRow) => ({ name, ownerId, poolKey });

export const mayView = (actor: Actor, row: LlmRow): boolean =>
  can(actor, 'view', { resource: 'llm', target: targetOf(row) });
