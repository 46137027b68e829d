import { keyName } from '../../say/columns.ts';
import { factLines } from '../../say/table.ts';
import type { SeenLlm, SeenPool } from '../../net/views.ts';
import { memberLines } from './pool-lines.ts';
import type { Look } from './look.ts';

/** An llm, then the block of its pool with each member. */
export function llmLines({ llm, pool }: { llm: SeenLlm; pool: SeenPool }, look: Look): string[] {
  const { view } = llm;
  const why = view.inactiveReason ? ` (${view.inactiveReason})` : '';
  return [
    ...factLines([
      ['Name', llm.key],
      ['Aliases', view.aliases?.join(', ')],
      ['Kind', view.kind],
      ['Status', view.status === undefined ? undefined : `${view.status}${why}`],
      ['Reason', view.statusReason],
      ['Misconfigured', view.misconfigured],
      ['Inactive since', look.instant(view.inactiveSince)],
      ['Type', view.type],
      ['Model', view.model],
      ['Tier', view.tier],
      ['URL', view.url],
      ['Key', keyName(llm)],
      ['Description', view.description],
      ['Capabilities', view.capabilities === undefined ? undefined : capabilityWords(view.capabilities)],
      ['Max concurrency', view.maxConcurrency],
      ['Served by', view.servedBy],
      ['Last seen', look.instant(view.lastHeartbeatAt)],
      ['Owner', view.ownerId],
      ['Revision', view.revision],
      ['Created', look.instant(view.createdAt)],
      ['Updated', look.instant(view.updatedAt)],
      ['ID', view.id],
    ]),
    '',
    look.paint.bold('Pool:'),
    ...factLines(
      [
        ['Key', pool.key],
        ['Size', pool.view.size],
        ['Active', pool.view.activeCount],
      ],
      2,
    ),
    ...memberLines(pool.members, look),
  ];
}

/** `chat, tools, contextLength=8192`: what is false is left out. */
function capabilityWords(capabilities: Readonly<Record<string, unknown>>): string {
  return Object.entries(capabilities)
    .flatMap(([name, value]) => {
      if (name === 'operations' && Array.isArray(value)) return value.map(String);
      if (value === true) return [name];
      if (value === false || value === null || value === undefined) return [];
      return [`${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`];
    })
    .join(', ');
}
