import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings';
import type { CatalogueEntry } from '../../core/resources/catalogue.ts';
import { makeApi } from '../commands/api/api.ts';
import { makeApprove } from '../commands/approve/approve.ts';
import { makeAudit } from '../commands/audit/audit.ts';
import { makeApply, makeDiff } from '../commands/apply/apply.ts';
import { makeBackup } from '../commands/backup/backup.ts';
import { makeRestore } from '../commands/backup/restore.ts';
import { makeComplete, makeCompletion } from '../commands/completion/completion.ts';
import { makeCall } from '../commands/call/call.ts';
import { makeConsole } from '../commands/console/console.ts';
import { makeConfig } from '../commands/config/config.ts';
import { makeLogs, makeRestart } from '../commands/logs/logs.ts';
import { makeLogout } from '../commands/logout/logout.ts';
import { makeWhoami } from '../commands/whoami/whoami.ts';
import { makeChat } from '../commands/chat/chat.ts';
import { makeChatLlm } from '../commands/chat-llm/chat-llm.ts';
import { makeConnect } from '../commands/connect/connect.ts';
import { makeCreate } from '../commands/create/create.ts';
import { makeDelete } from '../commands/delete/delete.ts';
import { makeDescribe } from '../commands/describe/describe.ts';
import { makeEdit } from '../commands/edit/edit.ts';
import { makeGet } from '../commands/get/get.ts';
import { makeHelp } from '../commands/help/help.ts';
import { makeLogin } from '../commands/login/login.ts';
import { makeAuth } from '../commands/auth/auth.ts';
import { makeGroup } from '../commands/group/group.ts';
import { makeExplain } from '../commands/explain/explain.ts';
import { makeRename } from '../commands/rename/rename.ts';
import { makePool } from '../commands/pool/pool.ts';
import { makeSecret } from '../commands/secret/secret.ts';
import { makeStatus } from '../commands/status/status.ts';
import { makeTask } from '../commands/task/task.ts';
import { makeToken } from '../commands/token/token.ts';
import { makeUsage } from '../commands/usage/usage.ts';
import { makeWorker } from '../commands/worker/worker.ts';
import { makeVersion } from '../commands/version/version.ts';
import { createContext, type Context, type ContextDeps } from '../who/context.ts';
import { examples, seeAlso, topics } from './help.ts';

/**
 * The whole program. Parsing throws: CommanderError for help and usage, else what a command throws.
 * @param entries the resources that `create` has commands for: loading them takes time (run-program.ts).
 */
export function createProgram(deps: Omit<ContextDeps, 'globals'>, entries: readonly CatalogueEntry[]) {
  const { stdout, stderr, size, colour } = deps.terminal;
  const program = new Command('mcpctl')
    .description('Publish the llms that run on your own machines, pool them, and call them through one door.')
    .version(deps.version, '-V, --version', 'print the version of this program')
    .option('--server <url>', 'the server; before MCPCTL_SERVER and the context')
    .option('--context <name>', 'a context that "mcpctl login" made')
    .option('--token-file <path>', 'a file with the token; before MCPCTL_TOKEN and the context')
    .option('--ca-file <path>', 'a PEM file with further certificate authorities to trust')
    .option('--as <user>', 'call as this user (who may impersonate)')
    .option('--no-input', 'ask nothing: what would need an answer fails instead')
    .option('-v, --verbose', 'trace every call on stderr, without secrets; MCPCTL_DEBUG=api does the same')
    .option('--no-color', 'no colours; NO_COLOR does the same')
    .helpCommand(false)
    .addHelpText('before', examples)
    .addHelpText('after', seeAlso)
    .exitOverride()
    .showHelpAfterError('(Add --help for more.)')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      getOutHelpWidth: () => size().columns || 100,
      getErrHelpWidth: () => size().columns || 100,
      getOutHasColors: () => colour.stdout,
      getErrHasColors: () => colour.stderr,
    });
  const ctx = createContext({ ...deps, globals: () => program.opts() });
  for (const command of commandsFor(ctx, entries)) program.addCommand(command);
  program.addCommand(makeComplete(ctx), { hidden: true });
  for (const { name, text } of topics) {
    const topic = new Command(name)
      .configureHelp({ formatHelp: () => text })
      .action(() => void stdout.write(text));
    program.addCommand(topic, { hidden: true });
  }
  for (const command of program.commands) adopt(command, program);
  return program;
}

/** Each is a peer of the others; add it here. */
function commandsFor(ctx: Context, entries: readonly CatalogueEntry[]): CommandUnknownOpts[] {
  return [
    makeGet(ctx),
    ...[makeDescribe(ctx), makeExplain(ctx)],
    makeCreate(ctx, entries),
    ...[makeEdit(ctx), makeRename(ctx)],
    makeDelete(ctx),
    makeApply(ctx),
    ...[makeDiff(ctx), makeApprove(ctx)],
    ...[makeLogs(ctx), makeRestart(ctx)],
    ...[makeBackup(ctx), makeRestore(ctx)],
    makeChat(ctx),
    makeChatLlm(ctx),
    ...[makeConnect(ctx), makeCall(ctx), makeConsole(ctx)],
    makeTask(ctx),
    makeToken(ctx),
    ...[makePool(ctx), makeWorker(ctx)],
    ...[makeGroup(ctx), makeAuth(ctx), makeSecret(ctx), makeAudit(ctx)],
    ...[makeLogin(ctx), makeLogout(ctx), makeWhoami(ctx)],
    makeConfig(ctx),
    ...[makeStatus(ctx), makeUsage(ctx)],
    makeApi(ctx),
    makeVersion(ctx),
    makeCompletion(ctx),
    makeHelp(),
  ];
}

/** Commands made on their own learn of the program's settings: exits, output, help. */
function adopt(command: CommandUnknownOpts, parent: CommandUnknownOpts): void {
  const formatHelp = command.configureHelp().formatHelp;
  command.copyInheritedSettings(parent);
  if (formatHelp) command.configureHelp({ formatHelp });
  for (const child of command.commands) adopt(child, command);
}
