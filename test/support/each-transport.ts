import { transports, type TransportKind } from './system.ts';

/** The same suite once over each transport: two ways to take tasks, one behaviour (SPEC §3). */
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
