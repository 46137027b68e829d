import { transports, type TransportKind } from './system.ts';

/** `it` of what has nothing to do with the transport: within such a suite it is tried over one of them. */
export function onceIn(transport: TransportKind): (title: string, test: Mocha.AsyncFunc) => void {
  return (title, test) => {
    if (transport === transports[0]) it(title, test);
  };
}

/** The same suite once over each transport: two ways to take tasks, one behaviour (docs/spec.md §3). */
export function onEachTransport(
  title: string,
  suite: (this: Mocha.Suite, transport: TransportKind) => void,
): void {
  for (const transport of transports) {
    describe(`${title}, over ${transport}`, function () {
      suite.call(this, transport);
    });
  }
}
