/**
 * Resolves with the first SIGTERM or SIGINT; a second one calls `force`, which leaves at once.
 * Only a `main.ts` calls this.
 */
export function untilSignal(force: () => void): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false;
    const on = (signal: NodeJS.Signals): void => {
      if (asked) return force();
      asked = true;
      resolve(signal);
    };
    process.on('SIGTERM', on);
    process.on('SIGINT', on);
  });
}
