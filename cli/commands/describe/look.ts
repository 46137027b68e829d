import type { Instant } from '../../columns.ts';
import type { Paint } from '../../output.ts';

/** What the renderers of this folder may use. */
export interface Look {
  instant: Instant;
  paint: Paint;
}
