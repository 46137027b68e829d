import { factLines } from '../../say/table.ts';
import { span } from '../../say/text.ts';
import type { SeenPool } from '../../net/views.ts';
import { memberLines } from './member-lines.ts';
import type { Look } from './look.ts';

export function poolLines(pool: SeenPool, look: Look): string[] {
  const { view } = pool;
  const oldest = view.oldestPendingMs;
  return [
    ...factLines([
      ['Name', pool.key],
      ['Owner', view.owner],
      ['Size', view.size],
      ['Active', view.activeCount],
      ['Pending', view.pending],
      ['Running', view.running],
      ['Oldest pending', typeof oldest === 'number' ? span(oldest) : undefined],
    ]),
    '',
    look.paint.bold('Members:'),
    ...memberLines(pool.members, look),
  ];
}
