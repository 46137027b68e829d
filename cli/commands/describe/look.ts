import type { Instant } from '../../say/columns.ts';
import type { Paint } from '../../say/output.ts';

/** What the renderers of this folder may use. */
export interface Look {
  instant: Instant;
  paint: Paint;
}
