import { Command, Option } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';

export interface AuditExportOptions {
  since?: string | undefined;
  until?: string | undefined;
  format: 'jsonl';
}

export function makeAuditExport(
  ctx: Context,
  run: (options: AuditExportOptions) => Promise<void> = (o) => runAuditExport(ctx, o),
) {
  return new Command('export')
    .description(
      'Write every event that you may see on standard output, oldest first, one JSON object a line. Whoever may view the audit sees all of them.',
    )
    .option('--since <instant>', 'from this instant on')
    .option('--until <instant>', 'before this instant')
    .addOption(new Option('--format <format>', 'how').choices(['jsonl'] as const).default('jsonl' as const))
    .addHelpText(
      'before',
      `Examples:
  mcpctl audit export > audit.jsonl
  mcpctl audit export --format jsonl --since 2026-11-01T00:00:00Z --until 2026-12-01T00:00:00Z
`,
    )
    .action((options) => run(options));
}

async function runAuditExport(ctx: Context, { since, until }: AuditExportOptions): Promise<void> {
  const [{ catalogueEntry }, { audit }, client] = await Promise.all([
    import('../../../core/resources/catalogue.ts'),
    import('../../../core/resources/people/audit.ts'),
    ctx.client(),
  ]);
  const events = client.resources.each(catalogueEntry(audit), { since, until, order: 'asc' });
  for await (const { raw } of events) ctx.out.line(JSON.stringify(raw));
}
