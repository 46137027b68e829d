import { STATUS_CODES } from 'node:http';
import { McpctlError } from '../../../core/errors.ts';
import { nearest } from '../../../core/runtime/nearest.ts';
import type { Context } from '../../who/context.ts';
import { AlreadySaid } from '../../exit.ts';
import { methods, type Call } from '../../net/http.ts';
import { ONCE_MS } from '../../net/infer.ts';
import { readAll, readFileText } from '../../input/stdin.ts';
import { pour } from '../../say/output.ts';

export interface ApiOptions {
  method: string;
  path: string;
  data?: string | undefined;
  headers: string[];
}

export async function runApi(ctx: Context, options: ApiOptions): Promise<void> {
  const method = methodOf(options.method);
  const path = pathOf(options.path);
  const headers = Object.fromEntries(options.headers.map(headerOf));
  const http = await ctx.http();
  const text = await bodyOf(ctx, { method, data: options.data });
  // It may be an inference: those queue and run for hours.
  const call: Call = { method, path, headers, limitMs: ONCE_MS, ...(text === undefined ? {} : { text }) };
  const answer = await http.raw(call);
  try {
    await pour(ctx, answer.body);
  } catch (thrown) {
    throw http.explain(thrown);
  }
  if (answer.status >= 200 && answer.status <= 299) return;
  ctx.out.note(`HTTP ${answer.status} ${STATUS_CODES[answer.status] ?? ''}`.trimEnd());
  throw new AlreadySaid(answer.status === 401 ? 4 : 1);
}

function methodOf(text: string): Call['method'] {
  const verb = methods.find((method) => method === text.toUpperCase());
  if (verb) return verb;
  const near = nearest(text.toUpperCase(), methods, 1)[0];
  const hint = near ? `Did you mean ${near}?` : `There are: ${methods.join(', ')}.`;
  throw new McpctlError('usage', `"${text}" is not a method. ${hint}`);
}

/** Below the server: a whole URL could send the token elsewhere. */
function pathOf(text: string): string {
  if (/^\/[\x21-\x22\x24-\x7e]*$/.test(text)) return text;
  const hint = text.startsWith('/')
    ? 'it may hold neither spaces nor letters beyond ASCII: write them as %20'
    : 'write it like /api/v1/llms; the server is named with --server';
  throw new McpctlError('usage', `"${text}" is not a path: ${hint}.`);
}

/** Who we are is said by the token alone; secrets do not belong on a command line, which others can read. */
const ours = ['authorization', 'x-api-key', 'cookie', 'proxy-authorization', 'host', 'content-length'];

function headerOf(text: string): [string, string] {
  const [, name = '', value = ''] = /^([\w!#$%&'*+.^`|~-]+):\s*([\x20-\x7e]*)$/.exec(text) ?? [];
  if (name === '') throw new McpctlError('usage', '--header must be like "name: value".');
  if (ours.includes(name.toLowerCase()))
    throw new McpctlError(
      'usage',
      `--header: mcpctl says "${name.toLowerCase()}" itself. For another token see --token-file.`,
    );
  return [name.toLowerCase(), value.trim()];
}

const withBody: readonly Call['method'][] = ['POST', 'PUT', 'PATCH'];

async function bodyOf(
  ctx: Context,
  { method, data }: { method: Call['method']; data: string | undefined },
): Promise<string | undefined> {
  const piped = data === undefined && withBody.includes(method) && !ctx.terminal.tty.stdin;
  if (data === '-' || piped) {
    const text = await readAll(ctx);
    return text === '' && piped ? undefined : text;
  }
  if (!data?.startsWith('@')) return data;
  const path = data.slice(1);
  return await readFileText(ctx.interrupts, path, { called: `--data: ${path}` });
}
