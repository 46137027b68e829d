import { Option } from '@commander-js/extra-typings';
import { McpctlError } from '../../core/errors.ts';
import type { Context } from '../who/context.ts';
import { collect } from './arguments.ts';
import { ask, mayAsk } from './question.ts';
import { readAll, readFileText } from './stdin.ts';

/** Where values of a secret come from. None is ever an argument: whoever may list processes would read it. */
export interface ValueSources {
  fromFile?: string[] | undefined;
  fromEnv?: string[] | undefined;
  fromStdin?: string | undefined;
}

export const fromFileOption = () =>
  new Option(
    '--from-file <key=path>',
    'the value of this key is what is in the file; may be given again',
  ).argParser(collect);
export const fromEnvOption = () =>
  new Option(
    '--from-env <key=name>',
    'the value of this key is in the variable; may be given again',
  ).argParser(collect);
export const fromStdinOption = () =>
  new Option(
    '--from-stdin <key>',
    'the value of this key is on stdin; on a terminal it is asked for, unseen',
  );

/** `KEY=place`. What is wrong is told without what was typed: it may be a value. */
function parted(text: string, flag: string): [key: string, place: string] {
  const at = text.indexOf('=');
  if (at > 0 && at < text.length - 1) return [text.slice(0, at), text.slice(at + 1)];
  throw new McpctlError(
    'usage',
    `--${flag} is written like --${flag} KEY=${flag === 'from-env' ? 'NAME' : 'PATH'}.`,
  );
}

/** A line's end belongs to whoever wrote it there, not to the value. */
async function fromStdin(ctx: Context, key: string): Promise<string> {
  if (mayAsk(ctx)) return ask(ctx, { prompt: `Value of ${key}: `, secret: true });
  return (await readAll(ctx)).replace(/\r?\n$/, '');
}

/** Values by their keys. @throws McpctlError `usage` for what cannot be read, or is there twice. */
export async function readValues(ctx: Context, sources: ValueSources): Promise<Record<string, string>> {
  const values = new Map<string, string>();
  const add = (key: string, value: string): void => {
    if (values.has(key)) throw new McpctlError('usage', `There are two values of "${key}".`);
    values.set(key, value);
  };
  for (const each of sources.fromFile ?? []) {
    const [key, path] = parted(each, 'from-file');
    add(key, path === '-' ? await fromStdin(ctx, key) : await readFileText(ctx.interrupts, path));
  }
  for (const each of sources.fromEnv ?? []) {
    const [key, name] = parted(each, 'from-env');
    const value = ctx.variable(name);
    if (value === undefined) throw new McpctlError('usage', `There is no variable ${name}.`);
    add(key, value);
  }
  if (sources.fromStdin !== undefined) add(sources.fromStdin, await fromStdin(ctx, sources.fromStdin));
  return Object.fromEntries(values);
}
