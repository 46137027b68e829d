import { z } from 'zod';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { isListening } from '../managed/probe.ts';
import { providerTypes } from '../providers/index.ts';
import { readWorkerConfig, type ConfiguredProvider } from '../sources/config.ts';
import { readCredentials } from '../sources/credentials.ts';
import type { Face } from './face.ts';
import { isOwnCredential } from './join.ts';
import { callServer } from './server-calls.ts';

const WITHIN_MS = 60_000;
const messages = [{ role: 'user', content: 'Say OK.' }];

interface Tried {
  name: string;
  where: 'backend' | 'server';
  ok: boolean;
  ms: number;
  /** What was answered, shortened; or why nothing was. */
  says: string;
}

const shortened = (text: string): string => (text.length > 60 ? `${text.slice(0, 59)}…` : text).trim();

async function timed(of: Pick<Tried, 'name' | 'where'>, call: () => Promise<string>): Promise<Tried> {
  const began = performance.now();
  const took = (): number => Math.round(performance.now() - began);
  try {
    const says = shortened(await call());
    return { ...of, ok: true, ms: took(), says };
  } catch (thrown) {
    return { ...of, ok: false, ms: took(), says: messageOf(thrown) };
  }
}

function atBackend({ type, name, url, readKey, model, params }: ConfiguredProvider): Promise<Tried> {
  const provider = providerTypes[type].create({ name, url, readKey, model, params });
  return timed({ name, where: 'backend' }, async () => {
    const signal = AbortSignal.timeout(WITHIN_MS);
    return (await provider.complete({ model, messages, maxTokens: 8, signal })).content;
  });
}

/** Of one that its worker starts or wakes that is no fault. */
const isAsleep = async ({ managed, wake, url }: ConfiguredProvider): Promise<boolean> =>
  (managed !== undefined || wake !== undefined) &&
  !(await isListening(new URL(url), AbortSignal.timeout(WITHIN_MS)));

const answerSchema = z.looseObject({
  choices: z.array(z.looseObject({ message: z.looseObject({ content: z.string().nullish() }) })).min(1),
});

function throughServer(face: Face, name: string, of: { server: string; token: string }): Promise<Tried> {
  return timed({ name, where: 'server' }, async () => {
    const body = { model: name, messages, max_tokens: 8 };
    const call = {
      method: 'POST',
      path: '/v1/chat/completions',
      token: of.token,
      body,
      withinMs: WITHIN_MS,
    } as const;
    const answer = answerSchema.safeParse((await callServer(face.network(), of.server, call)).json).data;
    if (!answer) throw new McpctlError('bad_answer');
    return answer.choices[0]?.message.content ?? '';
  });
}

/** Who calls: a person's own token, where there is one. What a worker has joined with calls nothing. */
async function caller({ home }: Face): Promise<{ server: string; token: string } | undefined> {
  const { credentials } = await readCredentials(home.credentials);
  if (!credentials || isOwnCredential(credentials.token)) return undefined;
  return { server: credentials.mcpdUrl.replace(/\/+$/, ''), token: credentials.token };
}

/**
 * One short call to each backend that is shared, or to one of them, then the same through the server.
 * @returns false: one of them failed. @throws McpctlError `usage` where nothing is shared, or nothing of that name.
 */
export async function tryCalls(face: Face, only: string | undefined): Promise<boolean> {
  const { home } = face;
  const { published } = await readWorkerConfig(home.config, home.root);
  const asked = published.filter(({ name }) => only === undefined || name === only);
  if (asked.length === 0)
    throw new McpctlError(
      'usage',
      only === undefined
        ? 'Nothing is shared here: mcplocal init chooses what is.'
        : `Nothing is shared as '${only}'; shared are: ${published.map(({ name }) => name).join(', ') || 'none'}.`,
    );
  const tried: Tried[] = [];
  const tell = (one: Tried): void => {
    tried.push(one);
    face.say(
      `${one.ok ? 'PASS' : 'FAIL'} ${one.name} at the ${one.where}, ${String(one.ms)} ms: ${one.says}`,
    );
  };
  // One after the other: a machine that answers two at once tells how slow it is then.
  for (const provider of asked) {
    if (await isAsleep(provider))
      face.say(
        `${provider.name} does not run now: its worker has it run when it is called through the server.`,
      );
    else tell(await atBackend(provider));
  }
  const by = await caller(face);
  if (by) for (const { name } of asked) tell(await throughServer(face, name, by));
  else
    face.say(
      `Through the server nothing was called: what this machine joined with calls nothing. With a token of yours: mcpctl chat-llm ${asked[0]?.name ?? ''}`,
    );
  face.answer({ tried });
  return tried.every(({ ok }) => ok);
}
