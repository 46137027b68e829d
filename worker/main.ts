#!/usr/bin/env node
import { entryOf, McpctlError, messageOf } from '../core/errors.ts';
import { plain } from '../core/runtime/plain.ts';
import { keepHeapSmall } from '../core/runtime/process/small-heap.ts';
import { readArguments, usage, type WorkerArguments } from './arguments.ts';
import type { LocalAction } from './local/protocol.ts';

/** Each command loads what it needs: serving takes a hundred times what `status` does. */
async function local(what: 'status' | LocalAction, { json, words, until }: WorkerArguments): Promise<void> {
  const [{ runLocalCommand }, { durationOf, untilClock }, { readConfig }, { homeAt }] = await Promise.all([
    import('./local/commands.ts'),
    import('./local/how-long.ts'),
    import('../core/runtime/settings/config.ts'),
    import('../core/runtime/files/home.ts'),
  ]);
  const { home } = readConfig(process.env, ['home']);
  const print = (text: string): void => void process.stdout.write(plain(text));
  const [asked] = words;
  const ms =
    until !== undefined ? untilClock(until, new Date()) : asked === undefined ? asked : durationOf(asked);
  await runLocalCommand(what, { path: homeAt(home).socket, json, print, ...(ms !== undefined && { ms }) });
}

async function serve(): Promise<void> {
  keepHeapSmall();
  const { run } = await import('./run.ts');
  await run(process.env, (code) => process.exit(code));
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
    templates: async () => (await import('../core/runtime/files/template-files.ts')).readTemplates(),
  });
}

async function main(): Promise<void> {
  const [first, ...rest] = process.argv.slice(2);
  if (first === 'mcp') return await mcp(rest);
  const asked = readArguments(process.argv.slice(2));
  const { command } = asked;
  switch (command) {
    case 'run':
      return await serve();
    case 'status':
    case 'pause':
    case 'resume':
    case 'drain':
      return await local(command, asked);
    case 'version': {
      const { ownPackage } = await import('../core/runtime/files/own-package.ts');
      process.stdout.write(`mcplocal ${ownPackage().version}\n`);
      return;
    }
    case 'help':
      process.stdout.write(usage);
      return;
    case 'detect':
    case 'init':
    case 'join':
    case 'leave':
    case 'service':
    case 'doctor':
    case 'test':
    case 'usage':
    case 'update': {
      const { runFace } = await import('./face/commands.ts');
      const next = await runFace({ ...asked, command }, process.env);
      if (next === 'serve') return await serve();
      if (next === 'failed') process.exitCode = 1;
      // A connection to the server that is kept, or a terminal, would hold the process for a while.
      process.exitCode ??= 0;
      return;
    }
  }
}

main().catch((thrown: unknown) => {
  process.stderr.write(plain(`mcplocal: ${messageOf(thrown)}\n`));
  process.exit(thrown instanceof McpctlError ? entryOf(thrown.code).exit : 1);
});
