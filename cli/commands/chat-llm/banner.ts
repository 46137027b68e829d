import { McpctlError } from '../../../core/errors.ts';
import type { Client } from '../../net/client.ts';
import { cell } from '../../say/text.ts';
import { ruled } from '../../talk/conversation.ts';
import type { SeenLlm, SeenPool } from '../../net/views.ts';

/** Who is about to answer, between rules. @throws McpctlError `llm_not_found`. */
export async function bannerFor(client: Client, name: string, columns: number): Promise<string[]> {
  return ruled(await factsOf(client, name), columns);
}

async function factsOf(client: Client, name: string): Promise<string[]> {
  try {
    return llmFacts(await client.llms.get(name));
  } catch (thrown) {
    if (!(thrown instanceof McpctlError && thrown.code === 'llm_not_found')) throw thrown;
    return otherFacts(client, name, thrown);
  }
}

function llmFacts({ key, view }: SeenLlm): string[] {
  const why = view.inactiveReason ? ` (${cell(view.inactiveReason)})` : '';
  return [
    `LLM: ${cell(key)}  ${cell(view.type)} → ${cell(view.model)}`,
    `Kind: ${cell(view.kind)}`,
    `Status: ${cell(view.status)}${why}`,
  ];
}

/** What can be called is not only a name: also a pool's key, or an alias. */
async function otherFacts(client: Client, name: string, notFound: McpctlError): Promise<string[]> {
  try {
    return poolFacts(await client.pools.get(name));
  } catch (thrown) {
    if (!(thrown instanceof McpctlError && thrown.code === 'pool_not_found')) throw thrown;
  }
  const meant = (await client.llms.list({})).find(({ view }) => view.aliases?.includes(name));
  if (!meant) throw notFound;
  return llmFacts(meant);
}

function poolFacts({ key, view, members }: SeenPool): string[] {
  const models = [...new Set(members.map((member) => cell(member.view.model)))].join(', ');
  return [
    `LLM: ${cell(key)}  pool → ${models}`,
    'Kind: pool',
    `Status: ${cell(view.activeCount)} of ${cell(view.size)} members active`,
  ];
}
