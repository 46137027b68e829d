import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { McpctlError } from '../../core/errors.ts';
import { writtenPath } from '../../core/runtime/files/home.ts';
import { parseWorkerConfig, readWorkerConfig } from '../../worker/sources/config.ts';

const parse = (config: unknown) => parseWorkerConfig(JSON.stringify(config), '/home/x');
const one = (provider: object) =>
  parse({ providers: [{ name: 'a', type: 'openai', model: 'm', ...provider }] });
const faultsOf = (act: () => unknown): McpctlError => {
  try {
    act();
  } catch (thrown) {
    expect(thrown).to.be.instanceOf(McpctlError).with.property('code', 'invalid_config');
    return thrown as McpctlError;
  }
  return expect.fail('no fault was found');
};

describe("the worker's config.json", () => {
  let home: string;
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'mcpctl-config-'));
  });
  afterEach(() => rm(home, { recursive: true }));

  it('fills in what a type implies', () => {
    const { providers } = parse({
      providers: [
        { name: 'a', type: 'ollama', model: 'qwen3' },
        { name: 'b', type: 'vllm', model: 'qwen3', maxConcurrency: 64, stallSeconds: 0.5 },
      ],
    });
    expect(providers[0]).to.include({
      url: 'http://127.0.0.1:11434/v1',
      maxConcurrency: 1,
      stallMs: 120_000,
    });
    expect(providers[1]).to.include({ url: 'http://127.0.0.1:8000/v1', maxConcurrency: 64, stallMs: 500 });
  });

  it('publishes only what says so', () => {
    const { published, providers } = parse({
      providers: [
        { name: 'a', type: 'openai', model: 'm' },
        { name: 'b', type: 'openai', model: 'm', publish: true },
      ],
    });
    expect(providers).to.have.length(2);
    expect(published.map((provider) => provider.name)).to.deep.equal(['b']);
  });

  it('knows one backend under the ways of writing its URL', () => {
    const backendAt = (url: string) => one({ url }).providers[0]?.backend;
    expect(backendAt('http://h:1')).to.equal(backendAt('http://H:1/v1/'));
    expect(backendAt('http://h:1')).not.to.equal(backendAt('http://h:2'));
  });

  it('names every fault with its path, and the nearest known word', () => {
    const error = faultsOf(() =>
      parse({
        providers: [
          { name: 'Bad Name', type: 'olama', model: 'm', poolname: 'x', stallSeconds: 0 },
          {
            name: 'a',
            type: 'openai',
            model: '',
            url: 'ftp://x',
            apiKey: 'k',
            wake: { type: 'http', url: 'http://h', metod: 'GET' },
          },
        ],
      }),
    );
    const faults = Object.fromEntries((error.details ?? []).map((fault) => [fault.path, fault.message]));
    expect(faults).to.have.all.keys(
      'providers[0].name',
      'providers[0].type',
      'providers[0].poolname',
      'providers[0].stallSeconds',
      'providers[1].model',
      'providers[1].url',
      'providers[1].wake.metod',
    );
    expect(faults['providers[0].type']).to.contain('did you mean ollama?');
    expect(faults['providers[0].poolname']).to.contain('did you mean poolName?');
    expect(faults['providers[1].wake.metod']).to.contain('did you mean method?');
    for (const path of Object.keys(faults)) expect(error.message).to.contain(path);
  });

  it('refuses two providers of one name, two keys, and a key in the URL', () => {
    const twice = { name: 'a', type: 'openai', model: 'm' };
    expect(faultsOf(() => parse({ providers: [twice, twice] })).message).to.contain('providers[1].name');
    expect(faultsOf(() => one({ apiKey: 'k', apiKeyFile: 'f' })).message).to.contain('not both');
    const error = faultsOf(() => one({ url: 'http://user:secret@h/v1' }));
    expect(error.message).to.contain('apiKeyFile').and.not.to.contain('secret');
  });

  it('takes agents in the form of a registration, and names what is wrong in one', () => {
    const critic = { name: 'critic', llm: 'a', prompts: [{ name: 'tone', content: 'Be brief.' }] };
    const { agents } = parse({ agents: [critic] });
    expect(agents[0]).to.deep.include({
      ...critic,
      prompts: [{ ...critic.prompts[0], priority: 500 }],
      pinMode: 'pool',
    });
    const twice = faultsOf(() => parse({ agents: [critic, critic] }));
    expect(twice.message).to.contain('agents[1].name: is also the name of agents[0]');
    const wrong = {
      ...critic,
      systemPromt: 'x',
      defaultParams: { model: 'x' },
      prompts: [{ name: 'a', text: 'x' }],
    };
    const { message } = faultsOf(() => parse({ agents: [critic, wrong] }));
    for (const part of [
      'agents[1].systemPromt: is not known; did you mean systemPrompt?',
      'agents[1].defaultParams.model: is for each call to say',
      'agents[1].prompts[0].text',
    ])
      expect(message).to.contain(part);
    const long = [
      { ...critic, prompts: ['a', 'b', 'c'].map((name) => ({ name, content: 'x'.repeat(99_000) })) },
    ];
    expect(faultsOf(() => parse({ agents: long })).message).to.contain('agents[0].prompts');
  });

  it('warns of an unknown key at the top level', () => {
    const provider = { name: 'a', type: 'openai', model: 'm', publish: true };
    const { warnings } = parse({ provider: [], providers: [provider] });
    expect(warnings.join('\n')).to.contain('did you mean providers?');
    expect(parse({}).warnings).to.deep.equal([]);
  });

  it('keeps the wake recipe and the parameter rules', () => {
    const wake = { type: 'http', url: 'http://h/wake' };
    const { providers } = one({ wake, dropParams: ['user'], addParams: { a: 1 }, renameParams: { x: 'y' } });
    expect(providers[0]?.wake).to.deep.equal({ ...wake, method: 'POST', maxWaitSeconds: 60 });
    expect(providers[0]?.params).to.deep.equal({ drop: ['user'], add: { a: 1 }, rename: { x: 'y' } });
  });

  it('takes a wake recipe that can be carried out, and says of no other what is in it', () => {
    const http = { type: 'http', url: 'http://h/wake' };
    const command = { type: 'command', command: 'wake-up' };
    expect(one({ wake: command, publish: true }).warnings).to.deep.equal([]);
    for (const wake of [
      { ...http, method: 'GET', body: { a: 1 } },
      { ...http, method: 'post' },
      { ...http, headers: { authorization: 'Bearer sk-secret\nx: y' } },
      { ...http, headers: { 'no name': 'sk-secret' } },
      { ...http, url: 'ftp://sk-secret@h' },
      { ...http, maxWaitSeconds: 0 },
      { ...command, args: 'a string for a shell' },
      { ...command, url: 'http://h' },
    ]) {
      const error = faultsOf(() => one({ wake }));
      expect(error.message, JSON.stringify(wake)).to.contain('wake').and.not.to.contain('sk-secret');
    }
  });

  it('says where the JSON is wrong without quoting it', () => {
    const error = faultsOf(() =>
      parseWorkerConfig('{\n  "providers": [\n    { "apiKey": "sk-secret" x', home),
    );
    expect(error.message).to.contain('line 3').and.not.to.contain('sk-secret');
  });

  it('reads a key from its file each time, relative to the home', async () => {
    await writeFile(join(home, 'key'), ' first\n');
    await writeFile(
      join(home, 'config.json'),
      JSON.stringify({ providers: [{ name: 'a', type: 'openai', model: 'm', apiKeyFile: 'key' }] }),
    );
    const provider = (await readWorkerConfig(join(home, 'config.json'), home)).providers[0];
    expect(await provider?.readKey()).to.equal('first');
    await writeFile(join(home, 'key'), 'second');
    expect(await provider?.readKey()).to.equal('second');
    await rm(join(home, 'key'));
    const thrown: unknown = await provider?.readKey().catch((error: unknown) => error);
    expect(thrown).to.have.property('code', 'backend_auth_failed');
    expect(String(thrown)).not.to.contain(home);
  });

  it('knows a home by a whole path alone, as a service is begun in another folder', () => {
    const before = process.env['HOME'];
    try {
      process.env['HOME'] = home;
      expect(writtenPath('~/key', '/srv')).to.equal(join(home, 'key'));
      process.env['HOME'] = 'ada';
      expect(writtenPath('~/key', '/srv')).to.equal(join(userInfo().homedir, 'key'));
      expect(writtenPath('key', '/srv')).to.equal('/srv/key');
    } finally {
      process.env['HOME'] = before;
    }
  });

  it('takes a missing file for an empty one, with a warning', async () => {
    const { published, warnings } = await readWorkerConfig(join(home, 'config.json'), home);
    expect(published).to.deep.equal([]);
    expect(warnings.join()).to.contain('nothing to publish');
  });

  it('warns when others can read a key in it', async () => {
    const path = join(home, 'config.json');
    await writeFile(
      path,
      JSON.stringify({ providers: [{ name: 'a', type: 'openai', model: 'm', apiKey: 'k' }] }),
    );
    await chmod(path, 0o644);
    expect((await readWorkerConfig(path, home)).warnings.join()).to.contain('chmod 600');
    await chmod(path, 0o600);
    expect((await readWorkerConfig(path, home)).warnings).to.deep.equal([]);
  });
});
