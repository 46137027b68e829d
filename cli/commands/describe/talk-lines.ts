import { McpctlError } from '../../../core/errors.ts';
import { catalogueEntry } from '../../../core/resources/catalogue.ts';
import { agent } from '../../../core/resources/talk/agent.ts';
import { personality } from '../../../core/resources/talk/personality.ts';
import type { Keyed } from '../../keyed.ts';
import { changeLines, changesOf, serversIn } from '../../mcp/change-lines.ts';
import type { Client } from '../../net/client.ts';
import { cell } from '../../say/text.ts';
import type { Look } from './look.ts';
import { memberLines } from './pool-lines.ts';

/** What is shown of one besides its facts. */
type More = (client: Client, item: Keyed, look: Look) => Promise<string[]>;

/** What cannot be asked, or is not for this caller, is left out. */
async function orNone<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (thrown) {
    if (thrown instanceof McpctlError) return null;
    throw thrown;
  }
}

/** Under a head of their own; nothing where there are none. */
const under = (head: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : ['', head, ...lines.map((line) => `  ${line}`)];

const wordOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** Who may answer for an agent, and as whom. */
const agentMore: More = async (client, { key, raw }, look) => {
  const [pool, personalities] = await Promise.all([
    orNone(client.llms.members(wordOf(raw['llm']))),
    orNone(client.turns.personalities(key)),
  ]);
  return [
    ...(pool ? ['', look.paint.bold('Members of its pool:'), ...memberLines(pool.members, look)] : []),
    ...under(look.paint.bold('Personalities:'), (personalities ?? []).map(personalityLine)),
  ];
};

const personalityLine = ({ name, isDefault, description }: PersonalitySeen): string =>
  `${cell(name)}${isDefault ? ' (default)' : ''}  ${description === '' ? '' : cell(description)}`.trimEnd();

type PersonalitySeen = Awaited<ReturnType<Client['turns']['personalities']>>[number];

/** Its prompts as they count now, and those that are said no more. */
const personalityMore: More = async (client, { raw }, { paint }) => {
  const asked = { message: '…', personality: wordOf(raw['name']) };
  const composed = await orNone(client.turns.compose(wordOf(raw['agent']), asked));
  if (!composed) return [];
  const own = composed.pieces.filter(({ source }) => source === 'personality prompt');
  const lines = [
    ...own.map(
      ({ name, priority, bytes }) => `${cell(name ?? '')}  priority ${priority ?? 0}, ${bytes} bytes`,
    ),
    ...(composed.outOfReach ?? []).map((name) => `${cell(name)}  out of reach: it is not said`),
  ];
  return under(paint.bold('Said, in this order:'), lines);
};

/** Where a prompt is said. */
const promptMore: More = async (client, { key, raw }, { paint }) => {
  const [of, project, name] = [raw['agent'], raw['project'], raw['name']];
  const filter: Record<string, string> = typeof of === 'string' ? { agent: of } : {};
  const [agents, personalities] = await Promise.all([
    typeof project === 'string' ? orNone(client.resources.list(catalogueEntry(agent), { project })) : null,
    orNone(client.resources.list(catalogueEntry(personality), filter)),
  ]);
  const bound = (personalities ?? []).filter(({ raw: { prompts, agent: its } }) => {
    const isSame = typeof of !== 'string' || its === of;
    return isSame && Array.isArray(prompts) && prompts.some((each: unknown) => isOf(each, [key, name]));
  });
  const lines = [
    ...(typeof of === 'string' ? [`  agent/${cell(of)}`] : []),
    ...(agents ?? []).map(({ key: its }) => `  agent/${cell(its)}, of project/${cell(wordOf(project))}`),
    ...bound.map(
      (each) => `  personality ${cell(wordOf(each.raw['agent']))}:${cell(wordOf(each.raw['name']))}`,
    ),
  ];
  return ['', paint.bold('Said by:'), ...(lines.length > 0 ? lines : ['  Nobody.'])];
};

const isOf = (binding: unknown, names: readonly unknown[]): boolean =>
  names.includes((binding as { prompt?: unknown } | null)?.prompt);

/** What it has not approved of its servers; what goes with it, and what stays. */
const projectMore: More = async (client, { key, raw }, { paint }) => {
  const { prompts, agents } = raw;
  const pinned = await changesOf(client, key, serversIn(raw));
  const lines = pinned.flatMap(([server, one]) => changeLines(server, one, { diffs: false }));
  return [
    ...under(paint.bold('What its servers have:'), lines),
    ...(typeof prompts !== 'number' || typeof agents !== 'number'
      ? []
      : [
          '',
          `Deleted, it takes ${prompts} of its prompts with it; ${agents} of its agents stay, in no project.`,
        ]),
  ];
};

/** What projects have not approved of what it has. */
const serverMore: More = async (client, { key }, { paint }) => {
  const { projects } = (await orNone(client.servers.changes(key, {}))) ?? { projects: [] };
  const lines = projects.flatMap((one) => changeLines(key, one, { diffs: false }));
  return under(paint.bold('Projects that have it:'), lines);
};

/** By the word of the resource. */
export const moreLines: Readonly<Record<string, More>> = {
  agent: agentMore,
  personality: personalityMore,
  prompt: promptMore,
  project: projectMore,
  server: serverMore,
};
