import { hostname } from 'node:os';
import { z } from 'zod';
import { McpctlError } from '../../../core/errors.ts';
import { pause } from '../../../core/runtime/clock.ts';
import { plainHttpWarning } from '../../../core/runtime/network/loopback.ts';
import { Cancelled } from '../../exit.ts';
import { isPassing } from '../../net/follow.ts';
import type { Http } from '../../net/http.ts';
import { readAnswer } from '../../net/views.ts';
import type { Context } from '../../who/context.ts';
import { enterContext, readContexts } from '../../who/contexts-file.ts';
import { tokenText } from '../../who/target.ts';

const begunSchema = z.looseObject({
  deviceCode: z.string().min(1).max(256),
  userCode: z.string().min(1).max(64),
  verificationPath: z.string().startsWith('/').max(256).optional(),
  expiresInS: z.number().positive(),
  intervalS: z.number().positive(),
});
const answerSchema = z.union([
  z.looseObject({
    status: z.literal('approved'),
    token: z.string(),
    user: z.string(),
    preset: z.string().optional(),
  }),
  z.looseObject({ status: z.literal('pending'), intervalS: z.number().optional() }),
]);
type Begun = z.infer<typeof begunSchema>;
type Approved = Extract<z.infer<typeof answerSchema>, { status: 'approved' }>;

const PATH = '/api/v1/login/device';
/** Whatever a server says, nobody waits longer for a person. */
const MOST_WAIT_MS = 15 * 60_000;
const MOST_INTERVAL_S = 60;
const CALL_MS = 10_000;
/** What a machine calls itself, as far as it can be shown. */
const machineName = (): string =>
  hostname()
    .replace(/[^\x21-\x7e]+/g, '-')
    .slice(0, 64) || 'unknown';

interface LoginWebOptions {
  server: string;
  /** How the context is called. */
  name: string;
  preset?: string | undefined;
}

/**
 * Shows a code and waits until somebody approves it on the server's page. Nothing of this machine is locked meanwhile, and the
 * token is written before anything else is done with it, which could fail.
 */
export async function runLoginWeb(ctx: Context, { server, name, preset }: LoginWebOptions): Promise<void> {
  const home = await ctx.home();
  // A file that is damaged is said before anybody types a code.
  await readContexts(home);
  const http = await ctx.strangerTo(server);
  const body = { machine: machineName(), ...(preset !== undefined && { preset }) };
  const begun = readAnswer(
    begunSchema,
    await http.json({ method: 'POST', path: PATH, body, limitMs: CALL_MS }),
  );
  say(ctx, server, begun);
  const { token, user, preset: given } = await approved(ctx, http, begun);
  await enterContext(home, name, { server, token: tokenText(token) });
  ctx.out.note(`Logged in to ${server} as ${user} (token of the preset ${given ?? preset ?? 'manage'}).`);
  ctx.out.note(`Context ${name} is now the current one; it is kept in ${home.cli}, readable by you alone.`);
}

function say(
  ctx: Context,
  server: string,
  { userCode, verificationPath = '/admin/device', expiresInS }: Begun,
): void {
  const open = plainHttpWarning(server);
  if (open !== undefined) ctx.out.note(open);
  ctx.out.note(
    `Open this page in a browser, on any machine, and sign in:\n\n  ${server}${verificationPath}\n`,
  );
  ctx.out.note(`Type this code there:\n\n  ${userCode}\n`);
  const minutes = Math.max(1, Math.round(expiresInS / 60));
  ctx.out.note(`Waiting until it is approved, for ${minutes} minutes at most; Ctrl-C gives up.`);
}

async function approved(ctx: Context, http: Http, begun: Begun): Promise<Approved> {
  const { clock, interrupts } = ctx;
  const until = clock.elapsed() + Math.min(begun.expiresInS * 1_000, MOST_WAIT_MS);
  let waitS = begun.intervalS;
  for (;;) {
    await pause(Math.min(waitS, MOST_INTERVAL_S) * 1_000, interrupts.signal);
    if (interrupts.signal.aborted) throw new Cancelled();
    if (clock.elapsed() >= until)
      throw new McpctlError(
        'timed_out',
        'Nobody approved it in time; begin again with "mcpctl login --web".',
      );
    const answer = await askOnce(http, begun.deviceCode);
    if (answer === 'slow') waitS += 5;
    else if (answer === 'away') continue;
    else if (answer.status === 'approved') return answer;
    else waitS = answer.intervalS ?? waitS;
  }
}

/** A server that is away for a moment is asked again: the person may be typing. */
async function askOnce(
  http: Http,
  deviceCode: string,
): Promise<z.infer<typeof answerSchema> | 'slow' | 'away'> {
  const call = { method: 'POST', path: `${PATH}/token`, body: { deviceCode }, limitMs: CALL_MS } as const;
  try {
    return readAnswer(answerSchema, await http.json(call));
  } catch (thrown) {
    const code = thrown instanceof McpctlError ? thrown.code : '';
    if (code === 'slow_down') return 'slow';
    if (isPassing(thrown) || code === 'too_many_requests') return 'away';
    throw thrown;
  }
}
