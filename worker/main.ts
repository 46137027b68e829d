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

/** `mcplocal mcp …` */
async function mcp(argv: readonly string[]): Promise<void> {
  const asked = (await import('./install/arguments.ts')).readMcpArguments(argv);
  if (asked.command === 'help') return void process.stdout.write(usage);
  const note = (sentence: string): void => void process.stderr.write(plain(`mcplocal: ${sentence}\n`));
  if (asked.command === 'connect') {
    const { connectProject } = await import('./bridge/connect.ts');
    await connectProject(asked.project, { environment: process.env, note });
    return process.exit(0); // whatever connection is kept
  }
  const [{ runMcpCommand }, { readConfig }, { homeAt }, { systemClock }] = await Promise.all([
    import('./install/commands.ts'),
    import('../core/runtime/settings/config.ts'),
    import('../core/runtime/files/home.ts'),
    import('../core/runtime/clock.ts'),
  ]);
  const isAsked = process.stdin.isTTY && process.stderr.isTTY;
  await runMcpCommand(asked, {
    home: homeAt(readConfig(process.env, ['home']).home),
    environment: process.env,
    print: (text) => void process.stdout.write(plain(text)),
    terminal: isAsked ? { input: process.stdin, output: process.stderr } : null,
    now: systemClock.now(),
  });
}

async function main(): Promise<void> {
  const [first, ...rest] = process.argv.slice(2);
  if (first === 'mcp') return await mcp(rest);
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
