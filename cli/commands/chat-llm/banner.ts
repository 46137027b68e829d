import width from 'string-width';
import { McpctlError } from '../../../core/errors.ts';
import type { Client } from '../../client.ts';
import { cell } from '../../text.ts';

/** Who is about to answer, between rules. @throws McpctlError `llm_not_found`. */
export async function bannerFor(client: Client, name: string, columns: number): Promise<string[]> {
  const facts = await factsOf(client, name);
  const longest = Math.max(...facts.map((line) => width(line)));
  const rule = '─'.repeat(Math.max(20, Math.min(longest, columns || 80)));
  return [rule, ...facts, rule];
}

async function factsOf(client: Client, name: string): Promise<string[]> {
  try {
    const { key, view } = await client.llms.get(name);
    const why = view.inactiveReason ? ` (${cell(view.inactiveReason)})` : '';
    return [
      `LLM: ${cell(key)}  ${cell(view.type)} → ${cell(view.model)}`,
      `Kind: ${cell(view.kind)}`,
      `Status: ${cell(view.status)}${why}`,
    ];
  } catch (thrown) {
    if (!(thrown instanceof McpctlError && thrown.code === 'llm_not_found')) throw thrown;
    return poolFacts(client, name, thrown);
  }
}

/** A pool's key may be the name of no llm. */
async function poolFacts(client: Client, name: string, notFound: McpctlError): Promise<string[]> {
  const pool = await client.pools.get(name).catch(() => {
    throw notFound;
  });
  const models = [...new Set(pool.members.map((member) => cell(member.view.model)))].join(', ');
  const { activeCount, size } = pool.view;
  return [
    `LLM: ${cell(pool.key)}  pool → ${models}`,
    'Kind: pool',
    `Status: ${cell(activeCount)} of ${cell(size)} members active`,
  ];
}
