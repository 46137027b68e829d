import { McpctlError } from '../../../core/errors.ts';
import { usageSlash, type Slash, type Slashes } from '../../talk/slash.ts';
import { writeNew } from '../../talk/write-new.ts';
import type { Usage } from '../../talk/usage.ts';
import type { Asking, Message } from './asking.ts';
import { bannerFor } from './banner.ts';

/** A conversation: what `/…` may change of it. */
export interface Talk {
  asking: Asking;
  history: Message[];
  usage: Usage;
}

const commands: Readonly<Record<string, Slash<Talk>>> = {
  model: {
    about: 'NAME: talk to another llm or pool from now on; the conversation stays',
    async run(ctx, client, { talk, rest }) {
      if (rest === '') return ctx.out.note(`You talk to ${talk.asking.name}.`);
      const banner = await bannerFor(client, rest, ctx.terminal.size().columns);
      talk.asking = { ...talk.asking, name: rest, pin: undefined };
      for (const line of banner) ctx.out.note(line);
    },
  },
  system: {
    about: 'TEXT: a system prompt from now on; "none" takes it away',
    async run(ctx, _client, { talk, rest }) {
      if (rest !== '') talk.asking = { ...talk.asking, system: rest === 'none' ? undefined : rest };
      const { system } = talk.asking;
      ctx.out.note(system === undefined ? 'There is no system prompt.' : `The system prompt: ${system}`);
    },
  },
  clear: {
    about: 'forget the conversation; the llm and the system prompt stay',
    async run(ctx, _client, { talk }) {
      talk.history.length = 0;
      ctx.out.note('The conversation is forgotten.');
    },
  },
  save: {
    about: 'FILE: write the conversation to a new file, as JSON',
    async run(ctx, _client, { talk, rest }) {
      if (rest === '') throw new McpctlError('usage', 'Where to? Write /save FILE.');
      const { system } = talk.asking;
      const messages = [
        ...(system === undefined ? [] : [{ role: 'system', content: system }]),
        ...talk.history,
      ];
      const text = `${JSON.stringify({ model: talk.asking.name, messages }, null, 2)}\n`;
      await writeNew(rest, text);
      ctx.out.note(`${messages.length} messages are in ${rest}.`);
    },
  },
  usage: usageSlash,
};

/** What a person may say of a conversation with an llm. */
export const slashes: Slashes<Talk> = {
  commands,
  tips: ['""" begins and ends a message of several lines; a space before it sends a / as text.'],
};
