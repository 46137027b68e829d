import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import { server as serverResource } from '../../core/resources/mcp/server.ts';
import type { Client } from '../net/client.ts';
import type { SeenProject } from '../net/servers.ts';
import { isCalled } from '../resources/types.ts';
import { cell } from '../say/text.ts';

/** @throws McpctlError `usage` for a type of which nothing is approved. */
export function needServer(type: string): void {
  if (!isCalled(serverResource, type))
    throw new McpctlError('usage', `Of a ${cell(type)} nothing is approved; say "server NAME".`);
}

type Change = SeenProject['changes'][number];

/** What becomes of what nobody has approved as they are, in words. */
const endings: Readonly<Record<string, string>> = {
  enforce: 'not there until approved',
  warn: 'there, and marked',
  off: 'there',
};

/** What a project has not approved of what a server has, a line each; with `diffs` what differs of each. */
export function changeLines(
  server: string,
  { project, pin, approved, approvedOffers, changes, unshown }: SeenProject,
  { diffs }: { diffs: boolean },
): string[] {
  const ending = endings[pin] ?? cell(pin);
  const of = [`${approved.length} of the tools`, ...offerWords(approvedOffers)].join(', ');
  const head = `project/${cell(project)}: ${of} of ${cell(server)} approved; pin ${cell(pin)}: others are ${ending}`;
  return [
    head,
    ...changes.flatMap((change) => [
      `  ${change.kind === 'tool' ? '' : `${cell(change.kind)} `}${cell(change.name)}: ${wordsOf(change)}`,
      ...(diffs ? (change.diff ?? [`ask for this one: --project and ${optionOf(change)}`]) : []).map(
        (line) => `    ${cell(line)}`,
      ),
    ]),
    ...(unshown > 0 ? [`  ${unshown} more that are not shown`] : []),
  ];
}

const optionOf = ({ kind }: Change): string => (kind === 'tool' || kind === 'prompt' ? `--${kind}` : '--uri');

/** Those kinds of which it has some. */
const offerWords = (counts: Readonly<Record<string, number>>): string[] =>
  Object.entries(counts).flatMap(([kind, count]) =>
    count > 0 ? [`${count} ${cell(kind)}${count === 1 ? '' : 's'}`] : [],
  );

function wordsOf({ state, reason }: Change): string {
  const why = reason === null || reason === 'new' ? '' : ` (${cell(reason)})`;
  return `${cell(state)}${why}`;
}

/** More tools than this cost a model more than they help it. */
const MANY = 40;

/**
 * What a project trusts of its servers from now on, and what of it is much. Nothing from a server that knows no pins.
 * @param from the project whose approvals it has; without one it trusts what is there now.
 */
export async function trustLines(
  client: Client,
  { project, servers, from }: { project: string; servers: readonly string[]; from?: string },
): Promise<string[]> {
  const how = from === undefined ? 'as they are now' : `as project '${cell(from)}' has approved them`;
  const seen = await changesOf(client, project, servers);
  const all = seen.reduce((sum, [, { approved }]) => sum + approved.length, 0);
  return [
    ...seen.map(([server, { approved, approvedOffers, changes }]) => {
      const trusted = [...approved.map(cell), ...offerWords(approvedOffers)];
      return trusted.length === 0 && changes.length === 0
        ? `${cell(server)}: what it has is trusted when its worker first tells of it.`
        : `${cell(server)}: trusted ${how}: ${trusted.join(', ') || 'none'}.`;
    }),
    ...(all > MANY
      ? [`Warning: ${all} tools are more than models use well; leave some out with tools: { allow, deny }.`]
      : []),
  ];
}

/** Of each server what one project has approved of it; those of which nothing may be asked are left out. */
export async function changesOf(
  client: Client,
  project: string,
  servers: readonly string[],
): Promise<[server: string, SeenProject][]> {
  const all = await Promise.all(
    [...new Set(servers)].map(async (server): Promise<[string, SeenProject][]> => {
      try {
        const { projects } = await client.servers.changes(server, { project });
        return projects.map((one) => [server, one]);
      } catch (thrown) {
        if (thrown instanceof McpctlError) return [];
        throw thrown;
      }
    }),
  );
  return all.flat();
}

const bindingsSchema = z.array(z.looseObject({ server: z.string() })).catch([]);

/** Which servers a project has, as the API sends it. */
export const serversIn = (raw: Readonly<Record<string, unknown>>): string[] =>
  bindingsSchema.parse(raw['servers']).map(({ server }) => server);
