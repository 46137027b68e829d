import { McpctlError } from '../../core/errors.ts';

/** Over the pool `wide`: any of the three workers answers. */
export const AGENT = 'chatter';
const THREADS = 8;

/** Makes the agent, and threads of it that are still empty. @returns their ids. */
export async function startThreads(url: string, token: string): Promise<[string, ...string[]]> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const make = async (path: string, body: object): Promise<{ id: string }> => {
    const answer = await fetch(new URL(path, url), { method: 'POST', headers, body: JSON.stringify(body) });
    const text = await answer.text();
    if (answer.status !== 201) throw new McpctlError('setup_failed', `${path} answered ${text}`);
    return JSON.parse(text) as { id: string };
  };
  await make('/api/v1/agents', { name: AGENT, llm: 'wide-1', systemPrompt: 'You chat.' });
  const begin = async (): Promise<string> => (await make(`/api/v1/agents/${AGENT}/threads`, {})).id;
  const threads: [string, ...string[]] = [await begin()];
  while (threads.length < THREADS) threads.push(await begin());
  return threads;
}
