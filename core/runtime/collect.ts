import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** So much garbage is worth a collection of its own; busy traffic of small requests collects itself. */
const WORTH_BYTES = 64 * 1024 * 1024;
/** Others that end in the same moment go with it. */
const SOON_MS = 300;

/**
 * Has the memory of large things collected soon after they ended. V8 does it by itself only when something else
 * needs memory, so a process that was busy with large bodies once would look as large ever after.
 * @returns tell it how many bytes are of no use any more.
 */
export function createCollector(): (bytes: number) => void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let garbage = 0;
  let timer: NodeJS.Timeout | undefined;
  return (bytes) => {
    garbage += bytes;
    if (garbage < WORTH_BYTES || timer) return;
    timer = setTimeout(() => {
      garbage = 0;
      timer = undefined;
      collect();
    }, SOON_MS);
    timer.unref();
  };
}
