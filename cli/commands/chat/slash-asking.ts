import { catalogueEntry } from '../../../core/resources/catalogue.ts';
import { agent as agentResource } from '../../../core/resources/talk/agent.ts';
import { McpctlError } from '../../../core/errors.ts';
import { nearest } from '../../../core/runtime/nearest.ts';
import { openDraft } from '../../input/draft.ts';
import { isYes } from '../../input/question.ts';
import { writtenOf } from '../../keyed.ts';
import type { Client } from '../../net/client.ts';
import { cell } from '../../say/text.ts';
import { composedLines } from '../../talk/composed-lines.ts';
import type { Slash } from '../../talk/slash.ts';
import type { Context } from '../../who/context.ts';
import { valueOf } from '../../input/params.ts';
import { composeBody, say, type Talk } from './turn.ts';

const shownValue = (value: unknown): string => cell(JSON.stringify(value));

/** `temperature 0.2`, a line each. */
function paramLines(params: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(params).map(([name, value]) => `  ${cell(name)} ${shownValue(value)}`);
}

/** The agent's own defaults. @throws McpctlError `forbidden` for who may not see them. */
async function defaultsOf(client: Client, agent: string) {
  const entry = catalogueEntry(agentResource);
  const seen = await client.resources.get(entry, agent);
  const defaults = seen.raw['defaultParams'];
  if (typeof defaults !== 'object' || defaults === null)
    throw new McpctlError(
      'forbidden',
      `The defaults of ${agent} are shown to its owner and to admins alone.`,
    );
  return { entry, seen, defaults: defaults as Readonly<Record<string, unknown>> };
}

/** Defaults with what is said over them; null takes one away. */
function merged(
  defaults: Readonly<Record<string, unknown>>,
  params: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries({ ...defaults, ...params }).filter(([, value]) => value !== null));
}

/** What becomes of each, as a diff. */
function changeLines(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names.flatMap((name) => {
    const [was, is] = [before[name], after[name]];
    if (JSON.stringify(was) === JSON.stringify(is)) return [];
    return [
      ...(was === undefined ? [] : [`- ${cell(name)} ${shownValue(was)}`]),
      ...(is === undefined ? [] : [`+ ${cell(name)} ${shownValue(is)}`]),
    ];
  });
}

const BAR = 24;

/** `[#####...................] 21 %` */
function barOf(part: number, whole: number): string {
  const filled = Math.min(BAR, Math.round((BAR * part) / whole));
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}] ${Math.round((100 * part) / whole)} %`;
}

async function writeInEditor(ctx: Context): Promise<string> {
  const draft = await openDraft(ctx, { name: 'message.md', editor: await ctx.editor() });
  const text = await draft.edit('');
  await draft.remove();
  return text.trim();
}

/** What changes how an agent is asked, or shows it. */
export const askingSlashes: Readonly<Record<string, Slash<Talk>>> = {
  personality: {
    about: 'NAME or none: how the agent answers from now on; alone: which there are',
    async run(ctx, client, { talk, rest }) {
      const { agent } = talk.asking;
      const all = await client.turns.personalities(agent);
      if (rest === '') {
        if (all.length === 0) return ctx.out.note(`${agent} has no personalities.`);
        const now = talk.asking.personality ?? all.find(({ isDefault }) => isDefault)?.name;
        for (const { name, description } of all)
          ctx.out.note(`${name === now ? '*' : ' '} ${cell(name)}  ${cell(description)}`);
        return;
      }
      const near = nearest(
        rest,
        all.map(({ name }) => name),
        1,
      )[0];
      if (rest !== 'none' && all.every(({ name }) => name !== rest))
        throw new McpctlError('personality_not_found', near ? `Did you mean ${near}?` : undefined);
      talk.asking = { ...talk.asking, personality: rest };
      ctx.out.note(rest === 'none' ? 'No personality from now on.' : `From now on ${rest} answers.`);
    },
  },
  system: {
    about: 'of what the system message is made; TEXT or none: in place of the agent’s prompt from now on',
    async run(ctx, client, { talk, rest }) {
      if (rest !== '') talk.asking = { ...talk.asking, system: rest };
      const composed = await client.turns.compose(talk.asking.agent, composeBody(talk.asking));
      for (const line of composedLines({ ...composed, body: undefined })) ctx.out.note(line);
    },
  },
  set: {
    about: 'NAME VALUE: a parameter from now on, JSON or text; NAME alone: as the agent has it',
    async run(ctx, _client, { talk, rest }) {
      const [, name = '', value = ''] = /^(\S+)\s*(.*)$/s.exec(rest) ?? [];
      if (name === '')
        throw new McpctlError('usage', 'Which one? Write /set temperature 0.2; /params shows them.');
      const { [name]: _before, ...others } = talk.asking.params;
      const params = value === '' ? others : { ...others, [name]: valueOf(value) };
      talk.asking = { ...talk.asking, params };
      ctx.out.note(value === '' ? `${name}: as the agent has it.` : `${name}: ${shownValue(params[name])}`);
    },
  },
  params: {
    about: 'the parameters that are said here, and those of the agent',
    async run(ctx, client, { talk }) {
      const { agent, params } = talk.asking;
      const own = paramLines(params);
      ctx.out.note(own.length === 0 ? 'Nothing is said here.' : 'Said here:');
      for (const line of own) ctx.out.note(line);
      const { defaults } = await defaultsOf(client, agent);
      ctx.out.note(Object.keys(defaults).length === 0 ? `${agent} has none.` : `Of ${agent}:`);
      for (const line of paramLines(defaults)) ctx.out.note(line);
    },
  },
  save: {
    about: 'make what is said here the defaults of the agent; shows the difference, and asks',
    async run(ctx, client, { talk, ask }) {
      const { agent, params } = talk.asking;
      const { entry, seen, defaults } = await defaultsOf(client, agent);
      const now = merged(defaults, params);
      const lines = changeLines(defaults, now);
      if (lines.length === 0) return ctx.out.note(`${agent} has these parameters already.`);
      for (const line of lines) ctx.out.note(line);
      if (!isYes((await ask(`save to ${agent}? [y/N] `)) ?? '')) return ctx.out.note('Nothing was changed.');
      const { name: _name, ...written } = writtenOf(entry, seen);
      const body = { ...written, defaultParams: now };
      await client.resources.replace(entry, seen.key, { body, revision: Number(seen.raw['revision']) });
      talk.asking = { ...talk.asking, params: {} };
      ctx.out.note(`${agent} has them from now on.`);
    },
  },
  context: {
    about: 'how full the window of the model is',
    async run(ctx, _client, { talk: { contextLength, usage, leftOut = 0 } }) {
      const { last } = usage;
      if (last === undefined) return ctx.out.note('Nothing was said yet, or the backend counts no tokens.');
      if (contextLength === undefined)
        ctx.out.note(`${last} tokens; how many there is room for is not known.`);
      else ctx.out.note(`${barOf(last, contextLength)} ${last} of ${contextLength} tokens`);
      ctx.out.note(leftOut === 0 ? 'No turn is left out.' : `Turns left out, the oldest: ${leftOut}`);
    },
  },
  thinking: {
    about: 'on or off: whether reasoning is shown',
    async run(ctx, _client, { talk, rest }) {
      if (rest !== '' && rest !== 'on' && rest !== 'off')
        throw new McpctlError('usage', 'Write /thinking on or /thinking off.');
      if (rest !== '') talk.asking = { ...talk.asking, thinking: rest === 'on' };
      ctx.out.note(`Reasoning is ${talk.asking.thinking ? '' : 'not '}shown.`);
    },
  },
  edit: {
    about: 'write a message in your editor, and send it',
    async run(ctx, client, { talk, ask }) {
      const message = await writeInEditor(ctx);
      if (message === '') return ctx.out.note('Nothing was written, nothing is sent.');
      await say(ctx, client, { talk, message, ask });
    },
  },
};
