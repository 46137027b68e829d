import { Command, Option } from '@commander-js/extra-typings';
import { auditFilters, given } from '../../input/audit-filters.ts';
import { whenFilters } from '../../input/task-filters.ts';
import type { Context } from '../../who/context.ts';

export interface AuditExportOptions {
  format: 'jsonl';
  filters: Record<string, string>;
}

export function makeAuditExport(
  ctx: Context,
  run: (options: AuditExportOptions) => Promise<void> = (o) => runAuditExport(ctx, o),
) {
  const command = new Command('export')
    .description(
      'Write every event that you may see on standard output, oldest first, one JSON object a line. Whoever may view the audit sees all of them.',
    )
    .addOption(new Option('--format <format>', 'how').choices(['jsonl'] as const).default('jsonl' as const))
    .addHelpText(
      'before',
      `Examples:
  mcpctl audit export > audit.jsonl
  mcpctl audit export --format jsonl --since 2026-11-01T00:00:00Z --until 2026-12-01T00:00:00Z
`,
    );
  for (const [flags, about] of [...auditFilters, ...whenFilters]) command.option(flags, about);
  return command.action(({ format, ...filters }) => run({ format, filters: given(filters) }));
}

async function runAuditExport(ctx: Context, { filters }: AuditExportOptions): Promise<void> {
  const [{ catalogueEntry }, { audit }, client] = await Promise.all([
    import('../../../core/resources/catalogue.ts'),
    import('../../../core/resources/people/audit.ts'),
    ctx.client(),
  ]);
  const events = client.resources.each(catalogueEntry(audit), { ...filters, order: 'asc' });
  for await (const { raw } of events) ctx.out.line(JSON.stringify(raw));
}
