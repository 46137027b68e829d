import { McpctlError } from '../../../core/errors.ts';
import { plainHttpWarning } from '../../../core/runtime/network/loopback.ts';
import type { Context } from '../../who/context.ts';
import { enterContext, writeFirstCredentials } from '../../who/contexts-file.ts';
import { ask, mayAsk } from '../../input/question.ts';
import { readAll } from '../../input/stdin.ts';
import { tokenIn, tokenText } from '../../who/target.ts';

export interface LoginOptions {
  withToken: boolean;
  /** Approved in a browser. */
  web: boolean;
  /** What the token is to let through, with `web`. */
  preset?: string | undefined;
}

/** Nothing is stored unless the server knows the token. */
export async function runLogin(ctx: Context, options: LoginOptions): Promise<void> {
  const { withToken } = options;
  needOneWay(ctx, options);
  const { server: asked, context } = ctx.globals();
  // With --server, --context names what is being made; without, a context that is there.
  const { server } = await ctx.target(asked === undefined ? { context } : { server: asked });
  const name = context ?? new URL(server).host;
  if (options.web) {
    const { runLoginWeb } = await import('./run-login-web.ts');
    return runLoginWeb(ctx, { server, name, preset: options.preset });
  }
  const token = await tokenToStore(ctx, withToken);
  const { key: user, view } = await (
    await ctx.clientFor({ server, token, from: 'login', tokenFrom: 'login' })
  ).whoami();
  const open = plainHttpWarning(server);
  if (open !== undefined) ctx.out.note(open);
  const home = await ctx.home();
  await enterContext(home, name, { server, token });
  ctx.out.note(`Logged in to ${server} as ${user} (${view.binding ?? '-'}).`);
  ctx.out.note(`Context ${name} is now the current one; it is kept in ${home.cli}.`);
  if (await writeFirstCredentials(home, { mcpdUrl: server, token })) {
    ctx.out.note(`A worker on this machine publishes with it too: ${home.credentials}.`);
  }
}

/** @throws McpctlError `usage` */
function needOneWay(ctx: Context, { withToken, web, preset }: LoginOptions): void {
  const given = withToken || ctx.globals().tokenFile !== undefined;
  if (web && given)
    throw new McpctlError(
      'usage',
      'With --web the server makes the token: leave out --with-token and --token-file.',
    );
  if (preset !== undefined && !web)
    throw new McpctlError(
      'usage',
      '--preset goes with --web: a token that is there lets through what it does.',
    );
}

async function tokenToStore(ctx: Context, withToken: boolean): Promise<string> {
  const { tokenFile } = ctx.globals();
  if (tokenFile !== undefined && withToken)
    throw new McpctlError(
      'usage',
      'Take the token from --token-file or from stdin with --with-token, not both.',
    );
  if (tokenFile !== undefined) return tokenIn(tokenFile);
  if (withToken) return tokenText(await readAll(ctx));
  if (mayAsk(ctx)) return tokenText(await ask(ctx, { prompt: 'Token: ', secret: true }));
  throw new McpctlError(
    'usage',
    'Nobody can be asked here: pipe the token in with --with-token, or name --token-file.',
  );
}
