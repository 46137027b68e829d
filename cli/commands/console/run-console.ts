import { McpctlError } from '../../../core/errors.ts';
import { indented } from '../../mcp/indented.ts';
import { Cancelled, failureOf } from '../../exit.ts';
import { takeOnce } from '../../interrupts.ts';
import { mayAsk } from '../../input/question.ts';
import { givenOf } from '../../mcp/given.ts';
import { openProjectTools, type ProjectTools } from '../../mcp/project-tools.ts';
import { outcomeOf, showResult } from '../../mcp/shown-result.ts';
import { toolLines } from '../../mcp/tool-lines.ts';
import { createPrompt } from '../../talk/prompt.ts';
import { writeNew } from '../../talk/write-new.ts';
import type { Context } from '../../who/context.ts';

export interface ConsoleOptions {
  project: string;
}

interface Console {
  ctx: Context;
  endpoint: ProjectTools;
  /** What the last call came to, on lines, as it came. */
  last: string | null;
  /** Aborts on Ctrl-C. */
  signal: AbortSignal;
}

interface Word {
  /** What follows it, as `help` shows it. */
  takes: string;
  does: string;
  run: (at: Console, rest: string) => Promise<void>;
}

const words: Readonly<Record<string, Word>> = {
  tools: { takes: '[text]', does: 'the tools, or those whose name has that text', run: list },
  call: { takes: 'TOOL key=value…', does: 'calls one; or with one JSON object, or @FILE', run: call },
  raw: { takes: 'METHOD [JSON]', does: 'any request, and its result as it is', run: raw },
  last: { takes: '', does: 'the last result, whole', run: showLast },
  save: { takes: 'FILE', does: 'writes the last result to a new file', run: save },
  help: { takes: '', does: 'this', run: help },
};

/** Talks with a person until "quit" or Ctrl-D. @throws McpctlError `usage` where nobody is at a terminal. */
export async function runConsole(ctx: Context, { project }: ConsoleOptions): Promise<void> {
  if (!mayAsk(ctx))
    throw new McpctlError(
      'usage',
      'A console needs a terminal. "mcpctl call PROJECT TOOL key=value" does without.',
    );
  const endpoint = await openProjectTools(await ctx.http(), project, ctx.version);
  const at: Console = { ctx, endpoint, last: null, signal: ctx.interrupts.signal };
  ctx.out.note(
    `${String((await endpoint.tools()).length)} tools. "help" says what can be typed; Ctrl-D leaves.`,
  );
  const prompt = createPrompt(ctx);
  try {
    for (;;) {
      const line = (await prompt.next())?.trim();
      if (line === undefined || line === 'quit') return;
      if (line !== '' && (await prompt.aside(() => typed(at, line))) === 'stopped') prompt.arm();
    }
  } finally {
    prompt.close();
  }
}

/** What goes wrong is said, and does not end the console. */
async function typed(at: Console, line: string): Promise<'done' | 'stopped'> {
  const { ctx } = at;
  const { signal, release } = takeOnce(ctx.interrupts);
  at.signal = signal;
  const [, name = '', rest = ''] = /^(\S+)\s*([\s\S]*)$/.exec(line) ?? [];
  try {
    const word = Object.hasOwn(words, name) ? words[name] : undefined;
    if (!word) throw new McpctlError('usage', `"${name}" is not known here. "help" says what is.`);
    await word.run(at, rest.trim());
  } catch (thrown) {
    if (ctx.interrupts.signal.aborted) throw new Cancelled();
    if (signal.aborted) ctx.out.note('(Stopped; the server was told.)');
    else ctx.terminal.stderr.write(failureOf(thrown).text);
  } finally {
    release();
  }
  return signal.aborted ? 'stopped' : 'done';
}

async function list({ ctx, endpoint }: Console, part: string): Promise<void> {
  const tools = (await endpoint.tools()).filter(({ name }) => name.includes(part));
  for (const line of toolLines(tools)) ctx.out.line(line);
  if (tools.length === 0) ctx.out.note('No tools.');
}

async function call(at: Console, rest: string): Promise<void> {
  const { ctx, endpoint, signal } = at;
  const [, name = '', text = ''] = /^(\S+)\s*([\s\S]*)$/.exec(rest) ?? [];
  if (name === '') throw new McpctlError('usage', 'Write: call TOOL key=value…');
  const tool = (await endpoint.tools()).find((one) => one.name === name);
  const given = await givenOf(ctx, partsOf(text), tool);
  const from = ctx.clock.elapsed();
  const { result, text: whole } = await endpoint.call(name, given, signal);
  at.last = indented(whole);
  showResult(ctx, result);
  const took = `${String(Math.round(ctx.clock.elapsed() - from))} ms`;
  ctx.out.note(outcomeOf(result) === 'failed' ? `(The tool says that it failed; ${took}.)` : `(${took})`);
}

async function raw(at: Console, rest: string): Promise<void> {
  const [, method = '', text = ''] = /^(\S+)\s*([\s\S]*)$/.exec(rest) ?? [];
  if (method === '') throw new McpctlError('usage', 'Write: raw METHOD {…}');
  const params = await givenOf(at.ctx, text === '' ? [] : [text], undefined);
  const from = { text: `{"params":${params.text}}`, value: { params: params.value } };
  at.last = indented((await at.endpoint.ask(method, params.value, { signal: at.signal, from })).text);
  await showLast(at);
}

async function showLast({ ctx, last }: Console): Promise<void> {
  if (last !== null) ctx.out.line(last);
  else ctx.out.note('Nothing was called yet.');
}

async function save({ ctx, last }: Console, file: string): Promise<void> {
  if (file === '' || last === null) throw new McpctlError('usage', 'Write: save FILE, after a call.');
  await writeNew(file, `${last}\n`);
  ctx.out.note(`Saved: ${file}`);
}

async function help({ ctx }: Console): Promise<void> {
  for (const [name, { takes, does }] of Object.entries(words))
    ctx.out.note(`  ${`${name} ${takes}`.padEnd(24)}${does}`);
  ctx.out.note(`  ${'quit'.padEnd(24)}leaves, as Ctrl-D does`);
}

/** As a shell parts them, with quotes; one JSON object is one part. */
function partsOf(text: string): string[] {
  if (text.startsWith('{')) return [text];
  return [...text.matchAll(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g)].map(([part]) =>
    part.replaceAll(
      /"([^"]*)"|'([^']*)'/g,
      (_whole, double: string | undefined, single: string | undefined) => double ?? single ?? '',
    ),
  );
}
