import { spawn } from 'node:child_process';
import { expect } from 'chai';
import { parse } from 'yaml';
import { chats, type Backend } from '../support/backend.ts';
import { programOf } from '../support/program.ts';
import type { Door } from './door.ts';
import { plays, text, words } from './scripts.ts';

interface Ran {
  code: number | null;
  out: string;
  err: string;
}

/** Runs a program with this on its stdin; nothing of our own environment but PATH. */
function run(
  argv: readonly string[],
  { stdin = '', env }: { stdin?: string; env: Record<string, string> },
): Promise<Ran> {
  const [command = '', ...args] = argv;
  const child = spawn(command, args, { env: { PATH: process.env['PATH'] ?? '', ...env }, timeout: 20_000 });
  const ran: Ran = { code: null, out: '', err: '' };
  child.stdout.on('data', (piece: Buffer) => (ran.out += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (ran.err += piece.toString()));
  child.stdin.end(stdin);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ ...ran, code }));
  });
}

const event = (json: object & { type: string }): string =>
  `event: ${json.type}\ndata: ${JSON.stringify(json)}\n\n`;
const message = {
  id: 'm',
  type: 'message',
  role: 'assistant',
  model: 'x',
  content: [],
  stop_reason: null,
  usage: { input_tokens: 1, output_tokens: 1 },
};
const messages = plays(
  event({ type: 'message_start', message } as never),
  event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } } as never),
  ...words.map((piece) =>
    event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: piece } } as never),
  ),
  event({ type: 'content_block_stop', index: 0 } as never),
  event({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 4 } } as never),
  event({ type: 'message_stop' }),
);

/** What `mcpctl connect` prints is pasted as it is, and works. */
export function snippetFacts(door: () => Door): void {
  describe('what mcpctl connect prints', () => {
    const model = 'connected';
    let backend: Backend;
    before(async () => {
      backend = await door().publishSpeaking(model, ['chat', 'messages']);
    });

    const printed = async (client: string, ...more: string[]): Promise<string> => {
      const env = {
        MCPCTL_SERVER: door().system.url,
        MCPCTL_TOKEN: door().token,
        MCPCTL_HOME: '/nonexistent',
      };
      const { code, out, err } = await run(
        [process.execPath, programOf('cli'), 'connect', client, model, ...more],
        { env },
      );
      expect([code, err.includes(door().token)]).to.deep.equal([0, false]);
      return out;
    };
    const env = () => ({ MCPCTL_TOKEN: door().token });
    const node = [process.execPath, '--input-type=module', '-'];

    it('runs as it is for each package, with the token from the environment or in it', async () => {
      backend.reply((exchange) =>
        (exchange.request.path === '/v1/messages' ? messages : chats(words))(exchange),
      );
      const of = async (client: string, ...more: string[]) => {
        const code = await printed(client, ...more);
        const ran = await run(node, { stdin: code, env: more.length > 0 ? {} : env() });
        return [client, ran.code, ran.out, /error/i.test(ran.err)];
      };
      const packages = ['openai', 'ai-sdk', 'langchain', 'anthropic'];
      const ran = await Promise.all([...packages.map((client) => of(client)), of('openai', '--with-token')]);
      expect(ran).to.deep.equal([...packages, 'openai'].map((client) => [client, 0, text, false]));
    });

    it('runs as it is for curl', async function () {
      if ((await run(['curl', '--version'], { env: {} }).catch(() => null)) === null) return this.skip();
      backend.once(chats(words));
      const ran = await run(['sh'], { stdin: await printed('curl'), env: env() });
      expect(ran.code).to.equal(0);
      expect(ran.out).to.include('data: [DONE]');
    });

    it('sets up a shell for Claude Code, in a form that the shell reads', async () => {
      const names = ['ANTHROPIC_BASE_URL', 'ANTHROPIC_AUTH_TOKEN', 'ANTHROPIC_MODEL'];
      const stdin = `${await printed('claude-code')}\nprintf '%s\\n' ${names.map((name) => `"$${name}"`).join(' ')}\n`;
      const { out } = await run(['sh'], { stdin, env: env() });
      const [url = '', token = '', name] = out.trimEnd().split('\n');
      expect(name).to.equal(model);
      // As Claude Code calls it: a probe, then messages with a bearer token.
      expect((await fetch(url, { method: 'HEAD' })).status).to.equal(200);
      backend.once(messages);
      const answer = await fetch(`${url}/v1/messages?beta=true`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          'anthropic-version': '2023-06-01',
          'anthropic-beta': 'x-1',
        },
        body: JSON.stringify({
          model: name,
          max_tokens: 5,
          stream: true,
          messages: [{ role: 'user', content: 'hi' }],
        }),
      });
      expect(await answer.text()).to.include('event: message_stop');
    });

    it('is a YAML of one model for Continue, whose address and model answer', async () => {
      const config = parse(await printed('continue', '--with-token')) as { models: Record<string, string>[] };
      const [one] = config.models;
      backend.once(chats(words));
      const answer = await fetch(`${one?.['apiBase'] ?? ''}/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${one?.['apiKey'] ?? ''}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: one?.['model'], messages: [{ role: 'user', content: 'hi' }] }),
      });
      expect(await answer.json()).to.have.nested.property('choices[0].message.content', text);
    });
  });
}
