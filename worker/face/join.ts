import { rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { z } from 'zod';
import { joinedSchema } from '../../core/access/join-code.ts';
import { deviceBegunSchema } from '../../core/access/device-login.ts';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { poolKeyOf, shownInLine } from '../../core/names.ts';
import { pause } from '../../core/runtime/clock.ts';
import { writePrivately } from '../../core/runtime/files/private-file.mjs';
import { plainHttpWarning } from '../../core/runtime/network/loopback.ts';
import { readWorkerConfig, type ConfiguredProvider } from '../sources/config.ts';
import { readCredentials } from '../sources/credentials.ts';
import { changeCredentials } from '../sources/own-credentials.ts';
import { writing } from '../sources/writing.ts';
import { clocksApart, lookThere, releases, whoIs } from './doctor/at-server.ts';
import type { Face } from './face.ts';
import { callServer, ended, serverUrl, understood, type JoinedServer } from './server-calls.ts';

export interface JoinOptions {
  server: string;
  code: string | undefined;
  /** What to ask for where there is no code; what config.json shares unless told. */
  pools: readonly string[];
  /** A credential that is here is written over. */
  replace: boolean;
}

export interface JoinedAs {
  server: string;
  user: string;
  name: string;
  pools: readonly string[];
  /** Where its credential is. */
  file: string;
  expiresAt: string | null;
}

/** What a worker's own credential begins with; a person's token does not. */
export const isOwnCredential = (token: string): boolean => token.startsWith('mcpw_');

const approvedSchema = z.union([
  joinedSchema
    .omit({ host: true })
    .extend({ status: z.literal('approved'), pools: joinedSchema.shape.pools.nullable() }),
  z.looseObject({ status: z.literal('pending'), intervalS: z.number() }),
]);
const MOST_WAIT_MS = 15 * 60_000;
const MOST_INTERVAL_S = 60;

/**
 * Makes this machine a worker there: a code, or somebody who approves the one that is shown, gives it a credential of its own,
 * which may publish and serve, and call nothing. Publishes nothing yet.
 * @throws McpctlError `join_code_used`, `join_code_expired`, `join_code_unknown`, `server_unreachable`, `already_running`, `usage` …
 */
export async function join(face: Face, options: JoinOptions): Promise<JoinedAs> {
  const server = serverUrl(options.server);
  return await changeCredentials(face.home, () => joinAlone(face, { ...options, server }));
}

async function joinAlone(face: Face, { server, code, pools, replace }: JoinOptions): Promise<JoinedAs> {
  const { file, former } = await fileFor(face, server, replace);
  const machine = shownInLine(hostname()).slice(0, 64) || 'unnamed';
  const open = plainHttpWarning(server);
  if (open !== undefined) face.say(open);
  await sayWhere(face, server);
  face.say(`Joining ${server} as '${machine}'.`);
  const joined =
    code === undefined
      ? await approved(face, { server, machine, pools: await poolsToAsk(face, pools) })
      : await exchanged(face, { server, machine, code });
  const { token, host, ...as } = joined;
  const credentials = { mcpdUrl: server, token, ...(host !== null && { host }) };
  writing(file, () => writePrivately(file, `${JSON.stringify(credentials, undefined, 2)}\n`));
  const { name, user, expiresAt } = as;
  face.say(`This machine is now the worker '${name}' of ${user}, for ${as.pools.join(', ')}.`);
  face.say(
    `Its own key is in ${file} (only you can read it). To end it: mcplocal leave, or the page of workers.`,
  );
  if (expiresAt !== null) face.say(`It is good until ${expiresAt}.`);
  await sayRelease(face, { server, token });
  if (former) await endFormer(face, former);
  return { server, ...as, file };
}

/** What is only said must not keep anybody waiting. */
const SAYS_WITHIN_MS = 3_000;

/** Which server this is, before anything is told to it; why it cannot be reached, the call that follows says. */
async function sayWhere({ network, say }: Face, server: string): Promise<void> {
  const there = await lookThere(network(), server, SAYS_WITHIN_MS).catch(() => null);
  if (!there) return;
  const by = there.certificate ? [`certificate of ${there.certificate.by}`] : [];
  say([new URL(server).host, ...by, clocksApart(there)].join(' · '));
}

/** The server names its release to those alone that it knows. */
async function sayRelease({ network, say }: Face, joined: JoinedServer): Promise<void> {
  const whoami = await whoIs(network(), joined, SAYS_WITHIN_MS).catch(() => null);
  if (!whoami) return;
  const { says, fix } = releases(whoami.version);
  say(`Release ${says}${fix === undefined ? '' : ` → ${fix}`}.`);
}

/** A person's own credentials stay where they are: the worker's go beside them, where both are of one server. */
async function fileFor(
  { home }: Face,
  server: string,
  replace: boolean,
): Promise<{ file: string; former: JoinedServer | undefined }> {
  const { credentials: of } = await readCredentials(home.credentials);
  const { credentials: own } = await readCredentials(home.workerCredentials);
  const isOfServer = of?.mcpdUrl.replace(/\/+$/, '') === server;
  const before = isOfServer ? (own?.mcpdUrl === of.mcpdUrl ? own : of) : of;
  if (before !== undefined && !replace) {
    const isWorker = isOwnCredential(before.token);
    if (isWorker)
      throw new McpctlError(
        'name_taken',
        `This machine is a worker of ${before.mcpdUrl} already: run "mcplocal leave" first, or say --replace.`,
      );
    if (!isOfServer)
      throw new McpctlError(
        'name_taken',
        `${home.credentials} is for ${before.mcpdUrl}: say --replace to write over it, or set MCPCTL_HOME to another folder.`,
      );
  }
  // As the worker reads them: its own before a person's, where both name one URL in the same letters.
  const file =
    isOfServer && of !== undefined && !isOwnCredential(of.token) && of.mcpdUrl === server
      ? home.workerCredentials
      : home.credentials;
  // A person's token stays good: it may be in other places.
  const former = before !== undefined && isOwnCredential(before.token) ? before : undefined;
  return { file, former: former && { server: former.mcpdUrl.replace(/\/+$/, ''), token: former.token } };
}

/** What nobody has any more is not to stay good: neither the credential, nor what was published with it. */
async function endFormer({ home, network, say }: Face, former: JoinedServer): Promise<void> {
  try {
    const left = await ended(network(), former);
    rmSync(home.session, { force: true });
    if (left) say(`Its former key, of ${former.server}, is over, and so is what was published with it.`);
  } catch (thrown) {
    say(
      `! Its former key, of ${former.server}, could not be ended: ${messageOf(thrown)} End it there: mcpctl worker revoke.`,
    );
  }
}

/** Keys of the pools of what config.json shares. */
const poolsOf = (published: readonly ConfiguredProvider[]): string[] => [
  ...new Set(published.map(poolKeyOf)),
];

async function poolsToAsk({ home }: Face, asked: readonly string[]): Promise<readonly string[]> {
  if (asked.length > 0) return asked;
  const { published } = await readWorkerConfig(home.config, home.root);
  const pools = poolsOf(published);
  if (pools.length === 0)
    throw new McpctlError(
      'usage',
      'Nothing is shared yet: run "mcplocal init" first, or say --pool NAME, or --code with the code of who invites you.',
    );
  return pools;
}

type Joined = z.infer<typeof joinedSchema>;

const MOST_TRIES = 3;
const AGAIN_MS = 1_000;

/** An edge may go as it is asked: whoever comes in its place is asked again. */
async function exchanged(
  face: Face,
  { server, ...body }: { server: string; machine: string; code: string },
): Promise<Joined> {
  const call = { method: 'POST', path: '/api/v1/join', body } as const;
  for (let tries = 1; ; tries++) {
    try {
      return understood(joinedSchema, (await callServer(face.network(), server, call)).json);
    } catch (thrown) {
      if (tries > 1 && thrown instanceof McpctlError && thrown.code === 'join_code_used')
        throw new McpctlError(
          thrown.code,
          `${thrown.message} That was this machine, most likely: the server went as it answered, and nobody has the credential that it made. Another code joins; "mcpctl token revoke" ends what is left.`,
        );
      if (tries === MOST_TRIES || !isPassing(thrown)) throw thrown;
      await pause(AGAIN_MS);
    }
  }
}

/** Shows a code, and waits until somebody who is signed in has typed it. */
async function approved(
  face: Face,
  { server, ...body }: { server: string; machine: string; pools: readonly string[] },
): Promise<Joined> {
  const post = async (path: string, sent: object): Promise<unknown> =>
    (await callServer(face.network(), server, { method: 'POST', path, body: sent })).json;
  const begun = understood(deviceBegunSchema, await post('/api/v1/login/device', body));
  face.say(`Confirm on any device where you are signed in:  ${server}${begun.verificationPath}`);
  face.say(`The code there is  ${begun.userCode}  (or: mcpctl worker approve ${begun.userCode})`);
  const minutes = Math.max(1, Math.round(begun.expiresInS / 60));
  face.say(`Waiting for ${String(minutes)} minutes at most; Ctrl-C gives up.`);
  const until = performance.now() + Math.min(begun.expiresInS * 1_000, MOST_WAIT_MS);
  for (let waitS = begun.intervalS; performance.now() < until;) {
    await pause(Math.min(waitS, MOST_INTERVAL_S) * 1_000);
    try {
      const answer = understood(
        approvedSchema,
        await post('/api/v1/login/device/token', { deviceCode: begun.deviceCode }),
      );
      if (answer.status === 'approved')
        return { ...answer, host: null, pools: answer.pools ?? [...body.pools] };
      waitS = answer.intervalS;
    } catch (thrown) {
      if (!isPassing(thrown)) throw thrown;
      waitS += begun.intervalS;
    }
  }
  throw new McpctlError('timed_out', 'Nobody confirmed it in time; begin again with mcplocal join.');
}

/** A server that is away for a moment is asked again: the person may be typing. */
const isPassing = (thrown: unknown): boolean =>
  thrown instanceof McpctlError &&
  ['slow_down', 'too_many_requests', 'server_unreachable', 'unavailable', 'shutting_down'].includes(
    thrown.code,
  );
