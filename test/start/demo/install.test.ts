import { mkdtemp, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { homeAt, type Home } from '../../../core/runtime/files/home.ts';
import { installDemoEngine } from '../../../start/demo/install.ts';
import { installPinned } from '../../../start/stores/npm-packages.ts';

/** An npm that makes the two packages, in `version`; their library is `code`. */
const npmThatInstalls = (version: string, code: string): string[] => {
  const script = `
    const { mkdirSync, writeFileSync } = require('node:fs');
    const { join } = require('node:path');
    const at = process.argv[process.argv.indexOf('--prefix') + 1];
    for (const name of ['@fugood/llama.node', '@fugood/node-llama-linux-x64']) {
      const folder = join(at, 'node_modules', name);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'package.json'), JSON.stringify({ version: '${version}', main: 'index.js' }));
      writeFileSync(join(folder, 'index.js'), ${JSON.stringify(code)});
    }`;
  return [process.execPath, '-e', script, '--'];
};

describe('the install of the demo engine', () => {
  let home: Home;
  let sentences: string[];
  beforeEach(async () => {
    home = homeAt(await mkdtemp(join(tmpdir(), 'mcpctl-demo-')));
    sentences = [];
  });
  afterEach(() => rm(home.root, { recursive: true }));

  const install = (npm: string[], platform = 'linux-x64') =>
    installDemoEngine({ home, npm, platform, say: (sentence) => void sentences.push(sentence) });
  const refusal = async (npm: string[], platform?: string): Promise<string> => {
    const thrown: unknown = await install(npm, platform).catch((error: unknown) => error);
    expect(thrown).to.have.property('code', 'setup_failed');
    return (thrown as Error).message;
  };

  it('says what it does, once', async () => {
    const folder = await install(npmThatInstalls('1.7.15', ''));
    expect(folder).to.equal(join(home.root, 'engines', 'tiny-chat'));
    expect(sentences.join('\n')).to.contain('Installing the demo engine').and.to.contain('22 MB');
    sentences.length = 0;
    expect(await install([process.execPath, '-e', 'process.exit(1)'])).to.equal(folder);
    expect(sentences).to.deep.equal([]);
  });

  it('puts another version in place of an old one', async () => {
    const folder = join(home.root, 'engines', 'tiny-chat');
    expect(await refusal(npmThatInstalls('1.0.0', ''))).to.contain('npm could not install it');
    expect(existsSync(folder)).to.equal(false);
    expect(await install(npmThatInstalls('1.7.15', ''))).to.equal(folder);
  });

  it('refuses other bytes under the same name and version', async () => {
    const folder = join(home.root, 'pinned');
    const name = 'picocolors';
    const wrong = { name, version: '1.1.1', integrity: `sha512-${Buffer.alloc(64).toString('base64')}` };
    const lines: string[] = [];
    const say = (line: string): void => void lines.push(line);
    expect(await installPinned({ packages: [wrong], folder, npm: ['npm'], say })).to.equal(false);
    expect(lines.join('\n')).to.contain('EINTEGRITY');
    expect(existsSync(join(folder, 'node_modules', name))).to.equal(false);
  });

  it('says what to do when it cannot', async () => {
    const otherwise = 'Start Ollama, LM Studio, vLLM or llama.cpp';
    expect(await refusal(['npm'], 'plan9-mips'))
      .to.contain('this kind of machine')
      .and.to.contain(otherwise);
    const failing = [process.execPath, '-e', 'process.exit(1)'];
    expect(await refusal(failing))
      .to.contain('network')
      .and.to.contain(otherwise);
    const broken = npmThatInstalls('1.7.15', 'throw new Error("invalid ELF header")');
    expect(await refusal(broken))
      .to.contain('invalid ELF header')
      .and.to.contain(otherwise);
  });
});
