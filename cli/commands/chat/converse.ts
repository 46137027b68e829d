import type { AskPerson } from '../../talk/slash.ts';
import { catalogueEntry } from '../../../core/resources/catalogue.ts';
import { agent as agentResource } from '../../../core/resources/talk/agent.ts';
import type { Client } from '../../net/client.ts';
import type { SeenThread } from '../../net/turn/calls.ts';
import { cell } from '../../say/text.ts';
import { converseWith, ruled } from '../../talk/conversation.ts';
import type { Context } from '../../who/context.ts';
import { slashes, tell } from './slash.ts';
import { McpctlError } from '../../../core/errors.ts';
import { answerCalls, composeBody, forget, rejoin, say, type Asking, type Talk } from './turn.ts';

/** How much of a thread is shown to who comes back: two questions and their answers. */
const SHOWN = 4;

/** Who is about to answer, and where, between rules. @throws McpctlError `agent_not_found`. */
async function bannerFor(client: Client, talk: Talk, columns: number): Promise<string[]> {
  const { raw } = await client.resources.get(catalogueEntry(agentResource), talk.asking.agent);
  const field = (name: string): string => {
    const value = raw[name];
    return typeof value === 'string' && value !== '' ? cell(value) : '';
  };
  const [description, project] = [field('description'), field('project')];
  talk.servedBy = field('llm');
  const facts = [
    `Agent: ${field('name')}${description === '' ? '' : `  ${description}`}${project === '' ? '' : `  project: ${project}`}`,
    `LLM: ${field('llm')} → pool ${field('pool')} (${(await poolWords(client, talk, field('llm'))) ?? field('status')})`,
    ...personalityFacts(field('defaultPersonality'), talk.asking.personality),
    ...(await systemFacts(client, talk)),
    ...paramFacts(raw['defaultParams'], talk.asking.params),
    threadFact(talk),
  ];
  return ruled(facts, columns);
}

function threadFact({ threadId, isEphemeral }: Talk): string {
  if (isEphemeral) return 'Thread: ephemeral; it is deleted when you leave';
  return threadId === null ? 'Thread: a new one; /threads lists older ones' : `Thread: ${threadId}`;
}

/** `2 of 3 up, 32768 tokens`; undefined where the llm is not shown to who asks. */
async function poolWords(client: Client, talk: Talk, llm: string): Promise<string | undefined> {
  try {
    const [{ view: pool }, { view }] = await Promise.all([client.llms.members(llm), client.llms.get(llm)]);
    const tokens = view.capabilities?.['contextLength'];
    talk.contextLength = typeof tokens === 'number' ? tokens : undefined;
    const room = talk.contextLength === undefined ? '' : `, ${talk.contextLength} tokens`;
    return pool.activeCount === undefined
      ? undefined
      : `${pool.activeCount} of ${pool.size ?? '?'} up${room}`;
  } catch (thrown) {
    if (thrown instanceof McpctlError) return undefined;
    throw thrown;
  }
}

/** Of how much the system message is made; of a server that does not say, nothing. */
async function systemFacts(client: Client, { asking }: Talk): Promise<string[]> {
  try {
    const { pieces } = await client.turns.compose(asking.agent, composeBody(asking));
    const bytes = pieces.reduce((sum, piece) => sum + piece.bytes, 0);
    const size = bytes < 1024 ? `${bytes} bytes` : `${(bytes / 1024).toFixed(1)} KiB`;
    const many = pieces.length === 1 ? '1 piece' : `${pieces.length} pieces`;
    return pieces.length === 0 ? [] : [`System: ${many}, ${size}; /system shows them`];
  } catch (thrown) {
    if (thrown instanceof McpctlError) return [];
    throw thrown;
  }
}

/** Those of the agent as far as one may see them, with what is said over them. */
function paramFacts(defaults: unknown, params: Asking['params']): string[] {
  const all = { ...(typeof defaults === 'object' ? defaults : {}), ...params };
  const words = Object.entries(all).map(([name, value]) => `${cell(name)} ${cell(JSON.stringify(value))}`);
  return words.length === 0 ? [] : [`Params: ${words.join(', ')}`];
}

function personalityFacts(usual: string, asked: string | undefined): string[] {
  if (asked !== undefined) return [`Personality: ${cell(asked)}`];
  return usual === '' ? [] : [`Personality: ${usual} (default)`];
}

/** Talks with a person until Ctrl-D. @throws Cancelled when Ctrl-C leaves. */
export async function converse(
  ctx: Context,
  client: Client,
  { talk, thread }: { talk: Talk; thread: SeenThread | null },
): Promise<void> {
  for (const line of await bannerFor(client, talk, ctx.terminal.size().columns)) ctx.out.note(line);
  const exchange = (message: string, ask: AskPerson): Promise<boolean> =>
    say(ctx, client, { talk, message, ask });
  const begin = async (ask: AskPerson): Promise<void> => {
    if (thread) await comeBack(ctx, client, { talk, thread, ask });
  };
  try {
    await converseWith(ctx, client, { talk, slashes, exchange, begin });
  } finally {
    ctx.out.note('');
    if (talk.isEphemeral) await forget(client, talk);
    else if (talk.threadId !== null)
      ctx.out.note(`resume: mcpctl chat ${talk.asking.agent} --thread ${talk.threadId}`);
  }
}

/** Shows what was said last, and the answer that is under way, as it goes on; tools that it waits for are run. */
async function comeBack(
  ctx: Context,
  client: Client,
  { talk, thread, ask }: { talk: Talk; thread: SeenThread; ask: AskPerson },
): Promise<void> {
  await tell(ctx, client, { threadId: thread.id, last: SHOWN });
  const { openTurn } = await client.turns.thread(thread.id);
  if (openTurn === null) return;
  const place = { threadId: thread.id, turn: openTurn.n };
  if (openTurn.status === 'waiting') await answerCalls(ctx, client, { talk, place, ask });
  else if (openTurn.taskId !== null) await rejoin(ctx, client, { talk, place, taskId: openTurn.taskId, ask });
}
