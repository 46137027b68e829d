import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { makeAuditExport } from './export.ts';

export function makeAudit(ctx: Context) {
  return new Command('audit')
    .summary('write the audit out')
    .description('Write the audit out, for whoever keeps it elsewhere. (To look: mcpctl get audit.)')
    .addHelpText('before', 'Examples:\n  mcpctl audit export --since 2026-11-01T00:00:00Z > audit.jsonl\n')
    .addCommand(makeAuditExport(ctx));
}
