import { expect } from 'chai';
import type { Backend } from '../support/backend.ts';
import { thrownBy, type Door } from './door.ts';
import { expectForm, expectStreamHeaders } from './form.ts';
import { postChat, readerNames, readers, type Ask, type ReaderName } from './readers.ts';
import { failures, quirks, text, words } from './scripts.ts';

/** Every client reads every stream: what is wrong in form is put right, what is wrong in substance is an error. */
export function streamFacts(door: () => Door): void {
  describe('a streamed chat', () => {
    let backends: Record<string, Backend>;
    before(async () => {
      backends = await door().publish([...readerNames, 'form']);
    });

    /** On the edge with the short keep-alive: between the pieces of a slow backend there are chunks of ours. */
    const ask = (model: string): Ask => ({ baseUrl: door().hurriedUrl, token: door().token, model });
    const backendOf = (name: string): Backend => backends[name] ?? expect.fail(`no backend for ${name}`);

    for (const [how, script] of Object.entries(quirks)) {
      it(`is read whole by every client when the backend sends: ${how}`, async () => {
        for (const backend of Object.values(backends)) backend.once(script);
        const reading = readerNames.map(async (name) => ({ name, ...(await readers[name](ask(name))) }));
        const form = (async () => {
          const answer = await postChat(ask('form'));
          expectStreamHeaders(answer.headers);
          expectForm(Buffer.from(await answer.arrayBuffer()), 'form');
        })();
        const read = await Promise.allSettled([...reading, form]);
        const readings = read.map((one, n) => [
          readerNames[n] ?? 'form',
          one.status === 'fulfilled' ? one.value : String(one.reason),
        ]);
        const right = readerNames.map((name) => [name, { name, text, finish: 'stop' }]);
        expect(readings).to.deep.equal([...right, ['form', undefined]]);
      });
    }

    /** Reads a stream that fails once its first words were seen. */
    const failing = async (name: ReaderName): Promise<unknown> => {
      let seen = '';
      const thrown = await thrownBy(() =>
        readers[name]({
          ...ask(name),
          onText: (piece) => {
            if (seen === '') backendOf(name).release();
            seen += piece;
          },
        }),
      );
      return { name, seen, message: String((thrown as Error).message) };
    };

    for (const [how, script] of Object.entries(failures)) {
      it(`is an error for every client when the backend ${how}, and is not tried again`, async () => {
        // A complete answer first: each failure in a row makes a member rest for twice as long.
        await Promise.all(readerNames.map((name) => readers[name](ask(name))));
        const before = readerNames.map((name) => backendOf(name).requests.length);
        for (const name of readerNames) backendOf(name).once(script);
        const ended = (await Promise.all(readerNames.map(failing))) as {
          name: ReaderName;
          seen: string;
          message: string;
        }[];
        for (const { name, seen, message } of ended) {
          expect([name, seen]).to.deep.equal([name, words[0]]);
          expect([name, message]).to.not.deep.equal([name, '']);
          expect(message).to.not.include('10.0.0.7');
        }
        const hits = readerNames.map((name, n) => {
          const chats = backendOf(name)
            .requests.slice(before[n])
            .filter(({ method }) => method === 'POST');
          return [name, chats.length];
        });
        expect(hits).to.deep.equal(readerNames.map((name) => [name, 1]));
      });
    }
  });
}
