import { expect } from 'chai';
import { answers, type Backend } from '../support/backend.ts';
import type { Door } from './door.ts';
import { DONE, plays } from './scripts.ts';

/** 40 fields that nobody knows, and every number that a parser would spoil. */
const unknown = Array.from({ length: 40 }, (_, n) => `"unknown_${n}": {"a": [1.0, ${n}.50, 1E3, -0]}`);
const numbers = '"big": 12345678901234567890123456789, "one": 1.0, "tiny": 1e-400, "twice": 1, "twice": 2';
const escapes = '"text": "\\u00e9\\/\\ud83d\\ude42 \\u0000", "é": "🙂", "__proto__": {"x": 1}';
const odd = `${numbers} , ${escapes},\t${unknown.join(' ,\n  ')}`;

/** The text that a caller sends and the one that it gets are changed where the contract says, and nowhere else. */
export function byteFacts(door: () => Door): void {
  describe('the text of a body', () => {
    let backends: Record<string, Backend>;
    before(async () => {
      backends = await door().publish(['bytes']);
      const made = await door().publish(['reshaped'], {
        dropParams: ['logit_bias', 'big'],
        addParams: { keep_alive: '5m', temperature: 0, nested: { deep: [1, 'x'] } },
        renameParams: { max_completion_tokens: 'max_tokens', twice: 'thrice', 'role:developer': 'system' },
      });
      backends = { ...backends, ...made };
    });
    const backend = (name: 'bytes' | 'reshaped'): Backend => backends[name] ?? expect.fail();
    const post = (path: string, body: string): Promise<Response> =>
      fetch(`${door().baseUrl}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${door().token}`, 'content-type': 'application/json' },
        body,
      });
    const whole = `{ "id": "c-1", ${odd}, "choices":[{"index":0 , "message": {"role":"assistant","content":"a", "x": 1.0},"finish_reason":"stop"}], "model": "tiny" }`;

    for (const [path, asks] of [
      ['/chat/completions', '"messages": [ {"role":"user", "content":"hi", "n": 1.0} ]'],
      ['/completions', '"prompt": "a\\u0062"'],
      ['/embeddings', '"input": [ "a" ,"b"]'],
    ] as const) {
      it(`reaches the backend as it was but for the model: ${path}`, async () => {
        const body = (model: string) => ` { ${odd}, "model" : "${model}", ${asks}, "stream" : false } `;
        backend('bytes').once(
          path === '/embeddings'
            ? answers(200, {
                object: 'list',
                data: ['a', 'b'].map((_, index) => ({ index, embedding: [0.5] })),
              })
            : answers(200, whole),
        );
        expect((await post(path, body('bytes'))).status).to.equal(200);
        const got = backend('bytes').requests.findLast(({ method }) => method === 'POST');
        expect(got).to.include({ path: `/v1${path}`, body: body('tiny') });
      });
    }

    it('reaches the backend with the wish for usage spliced in when it streams, other options kept', async () => {
      const body = (model: string, options: string) =>
        `{${odd},"model":"${model}","messages":[{"role":"user","content":"hi"}],"stream":true${options}}`;
      for (const [sent, arrives] of [
        ['', ',"stream_options":{"include_usage":true}'],
        [', "stream_options": { "x": 1.0 }', ', "stream_options": { "x": 1.0,"include_usage":true }'],
        [',"stream_options":{"include_usage":false}', ',"stream_options":{"include_usage":true}'],
        [', "stream_options": null', ', "stream_options": {"include_usage":true}'],
      ] as const) {
        await (await post('/chat/completions', body('bytes', sent))).text();
        expect(backend('bytes').requests.at(-1)?.body).to.equal(body('tiny', arrives));
      }
    });

    it('comes back as the backend wrote it but for the model, whole', async () => {
      backend('bytes').once(answers(200, whole));
      const answer = await post('/chat/completions', '{"model":"bytes","messages":[{"role":"user"}]}');
      expect(await answer.text()).to.equal(whole.replace('"model": "tiny"', '"model": "bytes"'));
      expect(answer.headers.get('x-mcpctl-model')).to.equal('tiny');
    });

    it('comes back as the backend wrote it but for the model, streamed', async () => {
      const event = (delta: string, finish: string, model: string) =>
        `data: {"id":"c-1","object":"chat.completion.chunk","created":1700000000, ${odd.replace('\n', ' ').replaceAll('\n', ' ')}, "model": "${model}", "choices":[ {"index":0,"delta":${delta} ,"finish_reason":${finish}, "x": 1.0} ] }\n\n`;
      const events = (model: string): string[] => [
        event('{"role":"assistant","content":""}', 'null', model),
        event('{"content":"a", "big": 12345678901234567890}', 'null', model),
        event('{}', '"stop"', model),
        DONE,
      ];
      backend('bytes').once(plays(...events('tiny')));
      const body = '{"model":"bytes","messages":[{"role":"user","content":"hi"}],"stream":true}';
      expect(await (await post('/chat/completions', body)).text()).to.equal(events('bytes').join(''));
    });

    it('is reshaped for a backend whose worker was told to: left out, renamed, added', async () => {
      const asks = '"messages":[{"role":"user","content":"hi"}]';
      await post(
        '/chat/completions',
        `{"model":"reshaped",${asks},"logit_bias":{"1":-100},"big":12345678901234567890,"max_completion_tokens":  7.0,"temperature":1,"kept":1.0}`,
      );
      expect(backend('reshaped').requests.at(-1)?.body).to.equal(
        `{"model":"tiny",${asks},"max_tokens":7.0,"temperature":0,"kept":1.0,"keep_alive":"5m","nested":{"deep":[1,"x"]}}`,
      );
      // So are the defaults of an agent, over those a call's, and over both what the owner of the backend says.
      const agent = {
        ...{ name: 'of-reshaped', llm: 'reshaped', systemPrompt: 'S' },
        defaultParams: {
          temperature: 0.5,
          max_completion_tokens: 5,
          logit_bias: { 1: 1 },
          top_p: 0.5,
          top_k: 4,
          seed: 1,
        },
      };
      expect((await door().system.call('POST', '/api/v1/agents', { body: agent })).status).to.equal(201);
      await post(
        '/chat/completions',
        `{"model":"of-reshaped",${asks},"temperature":1,"top_p":null,"top_k":8.0}`,
      );
      expect(backend('reshaped').requests.at(-1)?.body).to.equal(
        `{"model":"tiny","messages":[{"role":"system","content":"S"},{"role":"user","content":"hi"}],"temperature":0,"top_k":8.0,"seed": 1,"max_tokens":5,"keep_alive":"5m","nested":{"deep":[1,"x"]}}`,
      );
      // Who sends the new name himself is believed, and only once.
      await post(
        '/chat/completions',
        `{"model":"reshaped",${asks},"max_completion_tokens":7,"max_tokens":9}`,
      );
      const json = backend('reshaped').requests.at(-1)?.json;
      expect(json).to.include({ max_tokens: 9 }).and.to.not.have.property('max_completion_tokens');
    });

    it('has its roles renamed by the same rule, and the rest of each message left as it is', async () => {
      const messages = (role: string) =>
        `[ {"role":"${role}", "content":"developer", "n": 1.0},{"role":"user","content":"role:developer"} ]`;
      await post('/chat/completions', `{"model":"reshaped","messages":${messages('developer')}}`);
      expect(backend('reshaped').requests.at(-1)?.body).to.include(`"messages":${messages('system')}`);
    });

    it('is reshaped for embeddings and streams as well', async () => {
      backend('reshaped').once(
        answers(200, { object: 'list', data: ['a', 'b'].map((_, index) => ({ index, embedding: [0.5] })) }),
      );
      await post('/embeddings', '{"model":"reshaped","input":"a","logit_bias":1}');
      expect(backend('reshaped').requests.at(-1)?.json).to.not.have.property('logit_bias');
      const asks = '"messages":[{"role":"user","content":"hi"}],"stream":true,"max_completion_tokens":3';
      await (await post('/chat/completions', `{"model":"reshaped",${asks}}`)).text();
      const json = backend('reshaped').requests.at(-1)?.json;
      expect(json).to.deep.include({
        max_tokens: 3,
        keep_alive: '5m',
        stream_options: { include_usage: true },
      });
    });
  });
}
