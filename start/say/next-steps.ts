import { shellWord } from '../../core/runtime/plain.ts';

export interface NextSteps {
  url: string;
  /** What signs a browser in, if it could be had. */
  page: string | undefined;
  /** The path of the credentials file. */
  credentials: string;
  /** The name to call, if something is published. */
  llm: string | undefined;
  /** The value of `MCPCTL_HOME` when it is not the usual one. */
  home: string | undefined;
}

/** What a person can do now: where it is, where the token is, three commands that work as they stand. */
export function nextSteps({ url, page, credentials, llm = 'NAME', home }: NextSteps): string {
  const env = home === undefined ? '' : `MCPCTL_HOME=${shellWord(home)} `;
  const token = `$(node -p 'JSON.parse(fs.readFileSync(process.argv[1])).token' ${shellWord(credentials)})`;
  const body = JSON.stringify({ model: llm, messages: [{ role: 'user', content: 'Tell me a story' }] });
  return `
  URL     ${url}   (for OpenAI clients: ${url}/v1)
  Token   in ${credentials} (only you can read it)

  Try next, in another terminal in this folder:

  ${env}npx mcpctl chat-llm ${llm}

  curl ${url}/v1/chat/completions -H "authorization: Bearer ${token}" \\
    -H 'content-type: application/json' -d '${body}'

  node --input-type=module -e "
    import fs from 'node:fs'; import OpenAI from 'openai';
    const { token } = JSON.parse(fs.readFileSync('${credentials}'));
    const client = new OpenAI({ baseURL: '${url}/v1', apiKey: token });
    const ask = { model: '${llm}', messages: [{ role: 'user', content: 'Tell me a story' }], stream: true };
    for await (const part of await client.chat.completions.create(ask))
      process.stdout.write(part.choices[0]?.delta?.content ?? '');"

  Or in a browser on this machine: ${
    page === undefined
      ? `${url}/ui/`
      : `${page}
  (signs you in, once, within two minutes; after that ${url}/ui/ asks for the token)`
  }

  Ctrl-C stops everything.
`;
}
