import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { z } from 'zod';
import { McpctlError, messageOf } from '../../../core/errors.ts';
import { stopGroup } from '../../../core/runtime/process/stop-group.ts';
import { isYes } from '../../input/question.ts';
import { readFileText } from '../../input/stdin.ts';
import type { ToolResult } from '../../net/turn/calls.ts';
import { cell } from '../../say/text.ts';
import type { Context } from '../../who/context.ts';
import type { AskPerson } from '../../talk/slash.ts';

/** What an agent may call in a conversation, and what is run here for it. */
export interface Tools {
  /** As chat completions know them. */
  definitions: readonly unknown[];
  /** By the tool's name: a line for a shell, which gets the arguments on its stdin. */
  commands: ReadonlyMap<string, string>;
  /** They are run without asking. */
  unasked: boolean;
}

/** What the command line says of tools. */
export interface ToolOptions {
  /** A file with a JSON list of definitions. */
  tools?: string | undefined;
  /** `name=command`, each. */
  tool: readonly string[];
  yesTools: boolean;
}

const definitionsSchema = z.array(z.looseObject({ function: z.looseObject({ name: z.string() }) }));

/** As chat completions allow it. */
const NAME = /^[\w-]{1,64}$/;

/** One that no file describes takes whatever the model writes. */
const undescribed = (name: string): unknown => ({
  type: 'function',
  function: { name, parameters: { type: 'object', properties: {}, additionalProperties: true } },
});

async function definitionsIn(
  { interrupts }: Pick<Context, 'interrupts'>,
  file: string,
): Promise<z.infer<typeof definitionsSchema>> {
  const text = await readFileText(interrupts, file);
  try {
    return definitionsSchema.parse(JSON.parse(text));
  } catch (thrown) {
    const advice =
      'it must be a JSON list like [{"type":"function","function":{"name":"weather","parameters":{}}}]';
    throw new McpctlError('usage', `The tools in ${file} cannot be read: ${advice}.`, { cause: thrown });
  }
}

/** @throws McpctlError `usage`. */
export async function toolsOf(
  ctx: Pick<Context, 'interrupts'>,
  { tools, tool, yesTools }: ToolOptions,
): Promise<Tools> {
  const commands = new Map<string, string>();
  for (const each of tool) {
    const at = each.indexOf('=');
    const [name, command] = [each.slice(0, Math.max(0, at)), each.slice(at + 1).trim()];
    if (!NAME.test(name) || command === '')
      throw new McpctlError(
        'usage',
        `--tool is written like weather=./weather.sh, and not ${JSON.stringify(each)}.`,
      );
    commands.set(name, command);
  }
  const described = tools === undefined ? [] : await definitionsIn(ctx, tools);
  const names = new Set(described.map(({ function: { name } }) => name));
  const others = [...commands.keys()].filter((name) => !names.has(name)).map(undescribed);
  return { definitions: [...described, ...others], commands, unasked: yesTools };
}

interface Called {
  id: string;
  name: string;
  arguments: string;
}

/** What came of the calls, in their order; one for which nobody gives a result is missing. */
export async function resultsOf(
  ctx: Context,
  calls: readonly Called[],
  { tools, ask }: { tools: Tools; ask: AskPerson },
): Promise<ToolResult[]> {
  const results: ToolResult[] = [];
  for (const { id, name, arguments: given } of calls) {
    ctx.out.dim(`→ ${cell(name)} ${cell(given)}\n`);
    const command = tools.commands.get(name);
    const content =
      command === undefined
        ? await typedResult(name, ask)
        : await ranResult(ctx, { command, given, tools, ask });
    if (content !== null) results.push({ tool_call_id: id, content });
  }
  return results;
}

async function typedResult(name: string, ask: AskPerson): Promise<string | null> {
  const typed = await ask(`result of ${cell(name)}, or skip: `);
  return typed === null || ['', 'skip'].includes(typed.trim()) ? null : typed;
}

interface Running {
  command: string;
  given: string;
  tools: Pick<Tools, 'unasked'>;
  ask: AskPerson;
}

async function ranResult(ctx: Context, { command, given, tools, ask }: Running): Promise<string | null> {
  if (!tools.unasked) {
    const answer = await ask(`run ${cell(command)}? [y/N] `);
    if (answer === null || !isYes(answer)) return null;
  }
  return await ran(ctx, command, given);
}

/** What a tool may say; the end of what is longer is left out, and the model is told so. */
const MOST_CHARS = 262_144;

/**
 * Runs a line in a shell, arguments on its stdin. @returns what it wrote on stdout, and of one that failed how it ended; null: Ctrl-C
 * has ended it, with all that it had begun.
 */
async function ran(ctx: Context, command: string, given: string): Promise<string | null> {
  const child = spawn(command, { shell: true, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  let isStopped = false;
  const release = ctx.interrupts.take(() => {
    isStopped = true;
    if (child.pid !== undefined) void stopGroup(child.pid, { closeMs: 0, termMs: 1_000 });
  });
  const killed = (): void => void child.kill('SIGKILL');
  ctx.terminal.leaving.add(killed);
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (out.length <= MOST_CHARS) out += text.slice(0, MOST_CHARS + 1 - out.length);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => ctx.out.dim(text));
  child.stdin.on('error', () => undefined); // one that reads nothing may be gone already
  child.stdin.end(given);
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    if (isStopped) return null;
    const text = out.length > MOST_CHARS ? `${out.slice(0, MOST_CHARS)}\n(The rest was left out.)` : out;
    return code === 0 ? text : `The tool failed (${code === null ? signal : `exit code ${code}`}).\n${text}`;
  } catch (thrown) {
    return `The tool could not be run: ${messageOf(thrown)}`;
  } finally {
    release();
    ctx.terminal.leaving.delete(killed);
  }
}
