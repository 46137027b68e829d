import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { makeSecretKeys } from './keys.ts';
import { makeSecretReveal } from './reveal.ts';
import { makeSecretRollback } from './rollback.ts';
import { makeSecretRotate } from './rotate.ts';
import { makeSecretVersions } from './versions.ts';

export function makeSecret(ctx: Context) {
  return new Command('secret')
    .summary('rotate, roll back and reveal secrets')
    .description(
      'Rotate, roll back and reveal secrets. (To make one: mcpctl create secret; to see them: mcpctl get secret.)',
    )
    .addHelpText(
      'before',
      'Examples:\n  mcpctl secret rotate openai --from-stdin OPENAI_KEY < new.txt\n  mcpctl secret rollback openai\n',
    )
    .addCommand(makeSecretRotate(ctx))
    .addCommand(makeSecretRollback(ctx))
    .addCommand(makeSecretVersions(ctx))
    .addCommand(makeSecretReveal(ctx))
    .addCommand(makeSecretKeys(ctx));
}
