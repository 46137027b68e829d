import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { VirtualLlmRegistrar, type LlmProvider } from '../../worker/registration/registrar.ts';
import { startSystem, until, type System } from '../support/system.ts';

/** All that a provider has to have. */
const echo: LlmProvider = {
  name: 'echo',
  complete: ({ messages }) =>
    Promise.resolve({
      content: `You said ${String(messages.at(-1)?.['content'])}.`,
      toolCalls: [],
      usage: { promptTokens: 1, completionTokens: 2, totalTokens: 3 },
      finishReason: 'stop',
    }),
  listModels: () => Promise.resolve([{ id: 'echo' }]),
  isAvailable: () => Promise.resolve(true),
};

describe('the registrar as a library', function () {
  this.timeout(120_000);
  let t: System;
  let home: string;
  before(async () => {
    t = await startSystem();
    home = await mkdtemp(join(tmpdir(), 'mcpctl-library-'));
  });
  after(async () => {
    await t.close();
    await rm(home, { recursive: true });
  });

  it('serves what it publishes, also to callers who stream, until it is stopped', async () => {
    const silent = (): void => undefined;
    const registrar = new VirtualLlmRegistrar({
      mcpdUrl: t.url,
      token: t.token,
      publishedProviders: [{ provider: echo, type: 'openai', model: 'echo' }],
      sessionFilePath: join(home, 'provider-session'),
      log: { info: silent, warn: silent, error: silent },
    });
    await registrar.start();
    const body = { messages: [{ role: 'user', content: 'hi' }] };
    const infer = (more: object) => t.call('POST', '/api/v1/llms/echo/infer', { body: { ...body, ...more } });
    const whole = await until(
      () => infer({}),
      ({ status }) => status === 200,
      20_000,
    );
    expect(await whole.text()).to.include('You said hi.');
    const streamed = await (await infer({ stream: true })).text();
    expect(streamed).to.include('You said hi.').and.include('[DONE]');
    registrar.stop();
    await registrar.left();
    expect((await infer({})).status).to.equal(503);
    expect((await t.llm('echo')).inactiveReason).to.equal('publisher_gone');
  });
});
