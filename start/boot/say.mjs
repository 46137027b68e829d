/** The few words of start/boot.mjs: progress on stderr, so that stdout stays the real thing's. */

export function say(text) {
  process.stderr.write(`${text}\n`);
}

/** @returns the exit code to leave with. */
export function complain(text, code = 1) {
  say(text);
  return code;
}

/** Says now and then that a long step still goes on, also where there is no terminal. */
export function progress(what, everyMs = 10_000) {
  const from = performance.now();
  const seconds = () => ((performance.now() - from) / 1000).toFixed(1);
  say(`${what} …`);
  const timer = setInterval(() => say(`${what} … ${Math.round(seconds())} s`), everyMs);
  return {
    done(text) {
      clearInterval(timer);
      say(`${text} (${seconds()} s)`);
    },
  };
}
