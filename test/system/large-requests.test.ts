import { spawn, type ChildProcess } from 'node:child_process';
import { expect } from 'chai';
import { messages, startAnthropic } from '../support/anthropic.ts';
import { answers, chats, sends, type Backend, type Script } from '../support/backend.ts';
import { startSystem, transports, until, type System } from '../support/system.ts';

const MIB = 1024 * 1024;

/** A text of so many bytes that does not shrink to nothing, nor is dear to make. */
function textOf(bytes: number): string {
  const line = Array.from({ length: 1_024 }, (_, n) => n.toString(36)).join(' ');
  return line.repeat(Math.ceil(bytes / line.length)).slice(0, bytes);
}

/** A whole chat completion of so many bytes. */
function wholeOf(bytes: number): string {
  const completion = (content: string): string =>
    JSON.stringify({
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'tiny',
      choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
    });
  return completion(textOf(bytes - completion('').length));
}

/** A stream of so many bytes, in events of about 64 KiB. */
function streamOf(bytes: number): Script {
  const event = (delta: object, finish: string | null): string =>
    `data: ${JSON.stringify({
      id: 'chatcmpl-1',
      object: 'chat.completion.chunk',
      created: 1_700_000_000,
      model: 'tiny',
      choices: [{ index: 0, delta, finish_reason: finish }],
    })}\n\n`;
  const each = event({ content: textOf(64 * 1024) }, null);
  const last = `${event({}, 'stop')}data: [DONE]\n\n`;
  const times = Math.floor((bytes - last.length) / each.length);
  return sends(...Array.from({ length: times / 16 }, () => each.repeat(16)), last);
}

describe('what is large', function () {
  this.timeout(120_000);
  let t: System;
  let claude: Backend;
  before(async () => {
    [t, claude] = await Promise.all([startSystem(), startAnthropic()]);
    const speaksMessages = { type: 'anthropic', model: 'claude-x', apiKey: 'sk-ant-1', backend: claude };
    for (const transport of transports) {
      const offers = [
        { name: `large-${transport}`, backend: t.backend },
        { name: `claude-${transport}`, ...speaksMessages },
      ];
      await t.startWorker(offers, { transport });
    }
  });
  after(async () => {
    await t.close();
    await claude.close();
  });

  for (const transport of transports) {
    const name = `large-${transport}`;

    it(`reaches a worker of the ${transport} transport whole, over 256 KiB`, async () => {
      t.backend.reply(chats(['Hi']));
      const content = `${'ü'.repeat(200_000)}end`;
      const body = { messages: [{ role: 'user', content }] };
      const answer = await t.call('POST', `/api/v1/llms/${name}/infer`, { body });
      expect(answer.status).to.equal(200);
      expect(await answer.json()).to.have.nested.property('choices[0].message.content', 'Hi');
      expect(t.backend.requests.findLast(({ method }) => method === 'POST')?.json).to.have.deep.property(
        'messages',
        body.messages,
      );
    });

    it(`is asked, answered, settled and shown over ${transport} at 64 MiB both ways`, async () => {
      const whole = wholeOf(64 * MIB);
      t.backend.reply(answers(200, whole));
      const asked = (content: string): string =>
        JSON.stringify({ model: name, messages: [{ role: 'user', content }] });
      const body = asked(textOf(64 * MIB - asked('').length));
      expect(Buffer.byteLength(body)).to.equal(64 * MIB);
      const answer = await t.call('POST', '/v1/chat/completions', { body });
      const text = await answer.text();
      // Who waits long is kept by line feeds before a whole answer.
      expect([answer.status, text.trimStart().length]).to.deep.equal([
        200,
        whole.length + name.length - 'tiny'.length,
      ]);
      const posts = t.backend.requests.filter(({ method }) => method === 'POST');
      expect(posts.at(-1)?.body.length).to.be.within(64 * MIB - 100, 64 * MIB + 100);
      t.backend.requests.length = 0;
      const id = answer.headers.get('x-mcpctl-task-id') ?? '';
      const shown = await (await t.call('GET', `/api/v1/tasks/${id}`)).text();
      expect(shown.length).to.be.greaterThan(128 * MIB);
      expect(shown).to.include('"status":"completed"');
      expect(JSON.parse(shown)).to.have.nested.property('response.choices[0].finish_reason', 'stop');
    });
  }

  describe('a picture of 20 MB', () => {
    const data = Buffer.alloc(20_000_000, 'A picture of nothing. ').toString('base64');
    const url = `data:image/png;base64,${data}`;
    const text = 'What is it?';
    const ofUser = (content: object[]): object => ({ role: 'user', content });
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data } };
    const chat = {
      messages: [
        ofUser([
          { type: 'text', text },
          { type: 'image_url', image_url: { url } },
        ]),
      ],
    };
    const input = [
      ofUser([
        { type: 'input_text', text },
        { type: 'input_image', image_url: url },
      ]),
    ];
    const asked = async (path: string, body: object): Promise<string> => {
      const answer = await t.call('POST', path, { body });
      expect([answer.status, path]).to.deep.equal([200, path]);
      return await answer.text();
    };
    /** The last user's content, as the backend got it; nothing of it is kept. */
    const contentAt = ({ requests }: Backend): unknown[] => {
      const json = requests.findLast(({ method }) => method === 'POST')?.json;
      requests.length = 0;
      return (json?.['messages'] as { content: unknown[] }[] | undefined)?.at(-1)?.content ?? [];
    };

    const ways: [string, object][] = [
      ['/v1/chat/completions', chat],
      ['/v1/responses', { input }],
      ['/v1/messages', { max_tokens: 9, messages: [ofUser([{ type: 'text', text }, image])] }],
      ['/api/chat', { stream: false, messages: [{ role: 'user', content: text, images: [data] }] }],
      ['/api/generate', { stream: false, prompt: text, images: [data] }],
    ];
    // What a door makes of it is the same for whoever gets it.
    for (const [at, [path, body]] of ways.entries())
      for (const transport of at === 0 ? transports : transports.slice(at % 2, (at % 2) + 1))
        it(`reaches a backend that speaks chat alone by ${path}, over ${transport}`, async () => {
          t.backend.reply(chats(['A ', 'cat']));
          expect(await asked(path, { model: `large-${transport}`, ...body })).to.include('A cat');
          const [textPart, picture] = contentAt(t.backend);
          expect(textPart).to.deep.equal({ type: 'text', text });
          // Nobody wants to read 27 MB of what is not equal.
          expect((picture as { image_url: { url: string } }).image_url.url === url).to.equal(true);
        });

    it('reaches one that speaks messages alone', async () => {
      claude.reply(messages([{ type: 'text', pieces: ['A ', 'cat'] }]));
      expect(await asked('/v1/chat/completions', { model: 'claude-sse', ...chat })).to.include('A cat');
      const [, picture] = contentAt(claude) as [unknown, typeof image];
      expect(picture.source).to.include({ type: 'base64', media_type: 'image/png' });
      expect(picture.source.data === data).to.equal(true);
    });
  });

  describe('dense with what has to be looked at, while others have the cores', () => {
    /** Others are the tests that run beside this one. `MCPCTL_RUNS` of 4 and more: of the largest size there is, at a load average of 4. */
    const most = Number(process.env['MCPCTL_RUNS'] ?? 1) >= 4;
    const size = (most ? 60 : 2) * MIB;
    const busy: ChildProcess[] = [];
    before(() => {
      for (let n = 0; most && n < 4; n++) busy.push(spawn(process.execPath, ['-e', 'for (;;);']));
    });
    after(() => {
      for (const child of busy) child.kill('SIGKILL');
    });
    const repeated = (piece: (n: number) => string): string => {
      const pieces: string[] = [];
      for (let n = 0, bytes = 0; bytes < size; bytes += (pieces.at(-1)?.length ?? 0) + 1)
        pieces.push(piece(n++));
      return pieces.join(',');
    };
    const user = (content: string): string => `{"role":"user","content":"${content}"}`;
    const shapes: Record<string, () => string> = {
      quotes: () => `"messages":[${user('\\"'.repeat(size / 2))}]`,
      'escaped characters': () => `"messages":[${user('\\u00fc'.repeat(size / 6))}]`,
      'many messages': () => `"messages":[${repeated((n) => user(`hello ${n}`))}]`,
      'small values': () => `"messages":[${user('hi')}],"logit_bias":{${repeated((n) => `"${n}":1`)}}`,
      depth: () => `"messages":[${user('hi')}],"x":[${repeated(() => `${'['.repeat(99)}${']'.repeat(99)}`)}]`,
    };
    for (const [at, [shape, make]] of Object.entries(shapes).entries())
      it(shape, async () => {
        t.backend.reply(answers(200, wholeOf(1_000)));
        const asked = make();
        // The edge looks at it however it goes on.
        for (const transport of most ? transports : transports.slice(at % 2, (at % 2) + 1)) {
          const body = `{"model":"large-${transport}",${asked}}`;
          const answer = await t.call('POST', '/v1/chat/completions', { body });
          expect([answer.status, await answer.text()]).to.have.property('0', 200);
          const id = answer.headers.get('x-mcpctl-task-id') ?? '';
          // As text: parsed, what is deep takes more memory than this process has.
          const shown = await (await t.call('GET', `/api/v1/tasks/${id}`)).text();
          for (const fact of ['"status":"completed"', '"attempts":0', '"crashes":0'])
            expect(shown.includes(fact), fact).to.equal(true);
          // It reaches the backend as it is.
          const got = t.backend.requests.findLast(({ method }) => method === 'POST')?.body ?? '';
          expect(got.endsWith(asked.slice(-1_000) + '}') || got.includes(asked.slice(0, 1_000))).to.equal(
            true,
          );
          t.backend.requests.length = 0;
        }
      });
  });

  it('is 2,048 texts, and as many vectors of 1,536 numbers, over each transport', async () => {
    const embedding = Array.from({ length: 1_536 }, (_, n) => Math.round(Math.sin(n + 1) * 1e6) / 1e6);
    const rows = Array.from({ length: 2_048 }, (_, index) => ({ object: 'embedding', index, embedding }));
    const usage = { prompt_tokens: 1, total_tokens: 1 };
    t.backend.reply(answers(200, { object: 'list', model: 'tiny', data: rows, usage }));
    const input = rows.map(({ index }) => `Text ${String(index)}`);
    for (const transport of transports) {
      const body = { model: `large-${transport}`, input };
      const answer = await t.call('POST', '/v1/embeddings', { body });
      expect(answer.status).to.equal(200);
      const { data } = (await answer.json()) as { data: { embedding: number[] }[] };
      expect(data).to.have.length(2_048);
      expect(data.at(-1)?.embedding).to.deep.equal(embedding);
    }
  });

  it('streams more than is kept to resume it, and settles its task', async () => {
    const name = 'large-sse';
    t.backend.reply(streamOf(36 * MIB));
    const body = { model: name, stream: true, messages: [{ role: 'user', content: 'Go' }] };
    const answer = await t.call('POST', '/v1/chat/completions', { body });
    let bytes = 0;
    let tail = '';
    for await (const piece of answer.body ?? []) {
      bytes += (piece as Uint8Array).byteLength;
      tail = (
        tail +
        Buffer.from(piece as Uint8Array)
          .subarray(-20)
          .toString()
      ).slice(-20);
    }
    expect(bytes).to.be.within(35 * MIB, 37 * MIB);
    expect(tail).to.match(/data: \[DONE\]\n\n$/);
    const id = answer.headers.get('x-mcpctl-task-id') ?? '';
    const row = await until(
      () => t.task(id),
      ({ completedAt }) => completedAt !== null,
    );
    expect(row).to.include({ status: 'completed', finishReason: 'stop' });
  });

  it('ends once, with a code, where it is more than is kept', async () => {
    t.backend.reply(answers(200, wholeOf(64 * MIB + 1)));
    t.backend.requests.length = 0;
    const body = { model: 'large-redis', messages: [{ role: 'user', content: 'Go' }] };
    const answer = await t.call('POST', '/v1/chat/completions', { body });
    expect(answer.status).to.equal(502);
    expect(await answer.json()).to.have.nested.property('error.code', 'unstorable_result');
    expect(t.backend.requests.filter(({ method }) => method === 'POST')).to.have.length(1);
  });
});
