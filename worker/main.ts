#!/usr/bin/env node
import { entryOf, McpctlError, messageOf } from '../core/errors.ts';
import { plain } from '../core/runtime/plain.ts';
import { keepHeapSmall } from '../core/runtime/process/small-heap.ts';
import { readArguments, usage } from './arguments.ts';
import type { LocalAction } from './local/protocol.ts';

/** Each command loads what it needs: serving takes a hundred times what `status` does. */
async function local(what: 'status' | LocalAction, json: boolean): Promise<void> {
  const [{ runLocalCommand }, { readConfig }, { homeAt }] = await Promise.all([
    import('./local/commands.ts'),
    import('../core/runtime/settings/config.ts'),
    import('../core/runtime/files/home.ts'),
  ]);
  const { home } = readConfig(process.env, ['home']);
  const print = (text: string): void => void process.stdout.write(plain(text));
  await runLocalCommand(what, { path: homeAt(home).socket, json, print });
}

async function main(): Promise<void> {
  const { command, json } = readArguments(process.argv.slice(2));
  switch (command) {
    case 'run': {
      keepHeapSmall();
      const { run } = await import('./run.ts');
      return await run(process.env, (code) => process.exit(code));
    }
    case 'status':
    case 'pause':
    case 'resume':
    case 'drain':
      return await local(command, json);
    case 'version': {
      const { ownPackage } = await import('../core/runtime/files/own-package.ts');
      process.stdout.write(`mcplocal ${ownPackage().version}\n`);
      return;
    }
    case 'help':
      process.stdout.write(usage);
      return;
  }
}

main().catch((thrown: unknown) => {
  process.stderr.write(plain(`mcplocal: ${messageOf(thrown)}\n`));
  process.exit(thrown instanceof McpctlError ? entryOf(thrown.code).exit : 1);
});
