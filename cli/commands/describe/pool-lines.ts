import { catalogueEntry } from '../../../core/resources/catalogue.ts';
import { resources } from '../../../core/resources/index.ts';
import type { SeenPool } from '../../net/views.ts';
import { linesFor } from '../../resources/shown.ts';
import { memberLines } from './member-lines.ts';
import type { Look } from './look.ts';

/** A pool as its definition says, then each member. */
export function poolLines(pool: SeenPool, look: Look): string[] {
  return [
    ...linesFor(catalogueEntry(resources.pool), pool, look.instant),
    '',
    look.paint.bold('Members:'),
    ...memberLines(pool.members, look),
  ];
}
