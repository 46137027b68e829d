import { z } from 'zod';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { oneLine } from '../../core/runtime/plain.ts';
import { isListening } from '../managed/probe.ts';
import { providerTypes } from '../providers/index.ts';
import type { CompletionDelta } from '../providers/provider.ts';
import { readWorkerConfig, type ConfiguredProvider } from '../sources/config.ts';
import { readCredentials } from '../sources/credentials.ts';
import type { Face } from './face.ts';
import { isOwnCredential } from './join.ts';
import { callServer } from './server-calls.ts';

const WITHIN_MS = 60_000;
const messages = [{ role: 'user', content: 'Count from one to ten.' }];
const MOST_TOKENS = 24;
const MOST_SHOWN = 60;
/** Pieces that come together tell nothing of how fast they are made. */
const LEAST_MS = 20;
/** Of those that are tried before they are served: it is not to keep anybody from serving. */
const FIRST_WITHIN_MS = 5_000;
const FIRST_ALL_MS = 10_000;

interface Tried {
  name: string;
  where: 'backend' | 'server';
  ok: boolean;
  ms: number;
  /** From the first on; null: too few, or not to be told. */
  tokensPerS: number | null;
  /** What was answered, shortened; or why nothing was. */
  says: string;
}

/** On one line, whatever a model writes. */
function shortened(text: string): string {
  const line = oneLine(text).trim();
  return line.length > MOST_SHOWN ? `${line.slice(0, MOST_SHOWN - 1)}…` : line;
}

type Answer = Pick<Tried, 'says' | 'tokensPerS'>;

async function timed(of: Pick<Tried, 'name' | 'where'>, call: () => Promise<Answer>): Promise<Tried> {
  const began = performance.now();
  const took = (): number => Math.round(performance.now() - began);
  try {
    const { says, tokensPerS } = await call();
    return { ...of, ok: true, ms: took(), tokensPerS, says: shortened(says) };
  } catch (thrown) {
    return { ...of, ok: false, ms: took(), tokensPerS: null, says: oneLine(messageOf(thrown)) };
  }
}

function atBackend(configured: ConfiguredProvider, withinMs: number): Promise<Tried> {
  const { type, name, url, readKey, model, params } = configured;
  return timed({ name, where: 'backend' }, async () => {
    const provider = providerTypes[type].create({ name, url, readKey, model, params });
    const signal = AbortSignal.timeout(withinMs);
    const options = { model, messages, maxTokens: MOST_TOKENS, signal };
    const answer = provider.stream
      ? await heard(provider.stream(options), signal)
      : { says: (await provider.complete(options)).content, tokensPerS: null };
    if (answer) return answer;
    const seconds = String(withinMs / 1_000);
    throw new McpctlError('backend_timeout', `It said nothing within ${seconds} s; it may load its model.`);
  });
}

/** Until then: one that is slow has answered. @returns undefined: not even begun by then. */
async function heard(
  deltas: AsyncIterable<CompletionDelta>,
  until: AbortSignal,
): Promise<Answer | undefined> {
  let says = '';
  let pieces = 0;
  let tokens = 0;
  let [first, last] = [0, 0];
  try {
    for await (const { content = '', reasoning = '', usage } of deltas) {
      tokens = usage?.completionTokens ?? tokens;
      if (content + reasoning === '') continue;
      last = performance.now();
      if (pieces++ === 0) first = last;
      if (says.length < MOST_SHOWN) says += content;
    }
  } catch (thrown) {
    if (!until.aborted) throw thrown;
  }
  if (until.aborted && pieces === 0) return undefined;
  const ms = last - first;
  const rate = ((Math.max(tokens, pieces) - 1) * 1_000) / ms;
  return { says, tokensPerS: ms < LEAST_MS ? null : Math.round(rate) };
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
    const body = { model: name, messages, max_tokens: MOST_TOKENS };
    const call = {
      method: 'POST',
      path: '/v1/chat/completions',
      token: of.token,
      body,
      withinMs: WITHIN_MS,
    } as const;
    const answer = answerSchema.safeParse((await callServer(face.network(), of.server, call)).json).data;
    if (!answer) throw new McpctlError('bad_answer');
    return { says: answer.choices[0]?.message.content ?? '', tokensPerS: null };
  });
}

/** Who calls: a person's own token, where there is one. What a worker has joined with calls nothing. */
async function caller({ home }: Face): Promise<{ server: string; token: string } | undefined> {
  const { credentials } = await readCredentials(home.credentials);
  if (!credentials || isOwnCredential(credentials.token)) return undefined;
  return { server: credentials.mcpdUrl.replace(/\/+$/, ''), token: credentials.token };
}

function showTried({ say }: Face, one: Tried): Tried {
  const { name, where, ok, says } = one;
  const rate = one.tokensPerS === null ? '' : `, ${String(one.tokensPerS)} tokens/s`;
  say(`${ok ? 'PASS' : 'FAIL'} ${name} at the ${where}, ${String(one.ms)} ms${rate}: ${says}`);
  return one;
}

/** One after the other: a machine that answers two at once tells how slow it is then. */
async function tryEach(
  face: Face,
  asked: readonly ConfiguredProvider[],
  { withinMs, allMs }: { withinMs: number; allMs: number },
): Promise<Tried[]> {
  const tried: Tried[] = [];
  const until = performance.now() + allMs;
  for (const [n, provider] of asked.entries()) {
    if (performance.now() > until) {
      face.say(`${String(asked.length - n)} more are not tried now: mcplocal test tries them.`);
      break;
    }
    if (await isAsleep(provider))
      face.say(
        `${provider.name} does not run now: its worker has it run when it is called through the server.`,
      );
    else tried.push(showTried(face, await atBackend(provider, withinMs)));
  }
  return tried;
}

/** What a machine shares, before it goes on to serve it: it does so whatever comes of this. */
export async function tryFirst(face: Face, names: readonly string[]): Promise<Tried[]> {
  const { published } = await readWorkerConfig(face.home.config, face.home.root);
  const asked = published.filter(({ name }) => names.includes(name));
  return await tryEach(face, asked, { withinMs: FIRST_WITHIN_MS, allMs: FIRST_ALL_MS });
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
  const tried = await tryEach(face, asked, { withinMs: WITHIN_MS, allMs: Infinity });
  const by = await caller(face);
  if (by) for (const { name } of asked) tried.push(showTried(face, await throughServer(face, name, by)));
  else
    face.say(
      `Through the server nothing was called: what this machine joined with calls nothing. With a token of yours: mcpctl chat-llm ${asked[0]?.name ?? ''}`,
    );
  face.answer({ tried });
  return tried.every(({ ok }) => ok);
}
