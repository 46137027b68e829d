import { expect } from 'chai';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { settings } from '../../core/runtime/settings/settings.ts';
import { parseProcfile } from '../../start/keep/launch.ts';
import { read, root, span, spans, tableOf } from './markdown.ts';

const commands = new Map(
  [...parseProcfile(read('Procfile'))].map(([name, words]) => [name, ['node', ...words.slice(1)].join(' ')]),
);
const variables = new Set<string>(Object.values(settings).map(({ env }) => env));
/** Of platforms and programs, not ours; and one that an example has misspelt. */
const theirs = new Set([
  'MCPCTL_TRUST_PROXIES',
  'NODE_ENV',
  'RAILWAY_DEPLOYMENT_DRAINING_SECONDS',
  'REDIS_PASSWORD',
  'REDISCLI_AUTH',
]);
const samples = [
  'compose.yaml',
  'app.json',
  'Dockerfile',
  'deploy/fly.toml',
  'deploy/render.yaml',
  'docs/deploy.md',
];
for (const folder of ['deploy/systemd', 'deploy/railway'])
  for (const name of readdirSync(join(root, folder))) samples.push(`${folder}/${name}`);

/** Names of settings as they are written where they are set: `NAME=`, `NAME:`, `key: NAME`, `"NAME"`. */
function namesIn(text: string): string[] {
  const set = /\b([A-Z][A-Z0-9]*_[A-Z0-9_]+|PORT|PGSSLMODE)(?=\s?[=:]|`|")/g;
  return [...text.matchAll(set)].map(([, name = '']) => name).filter((name) => !name.startsWith('POSTGRES_'));
}

/** Every command of ours that a file has. */
const commandsIn = (text: string): string[] =>
  [
    ...text
      .replaceAll(/[[\]",]/g, ' ')
      .replaceAll(/ +/g, ' ')
      .matchAll(/node dist\/[^\s`&]+( (?:release|run)\b)?/g),
  ].map(([command]) => command.trim());

describe('what is there for deploying', () => {
  it('is about the processes of the Procfile, in the docs and in each sample', () => {
    const rows = tableOf(read('docs/deploy.md'), 'process').map((row) => [
      span(row['process']),
      span(row['command']),
    ]);
    expect(rows).to.have.deep.members([...commands]);
    for (const path of samples) {
      for (const command of commandsIn(read(path))) expect([...commands.values()], path).to.include(command);
    }
    for (const path of ['compose.yaml', 'deploy/fly.toml', 'deploy/render.yaml'])
      expect(new Set(commandsIn(read(path))), path).to.deep.equal(new Set(commands.values()));
  });

  it('names settings that there are, and no others', () => {
    for (const path of samples) {
      const names = namesIn(read(path)).filter((name) => !theirs.has(name));
      for (const name of names) expect([...variables], `${name} in ${path}`).to.include(name);
    }
    expect(namesIn(read('docs/deploy.md'))).to.include.members([
      'MCPCTL_BOOTSTRAP_TOKEN',
      'REDIS_CA',
      'PGSSLMODE',
    ]);
  });

  it('refers to files that there are', () => {
    const paths = spans(read('docs/deploy.md')).filter((text) => /^(deploy|test)\/[\w./@-]+$/.test(text));
    expect(paths).to.have.length.of.at.least(3);
    for (const path of paths) expect(existsSync(join(root, path)), path).to.equal(true);
    const copied = [...read('Dockerfile').matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, list = '']) =>
      list.split(' '),
    );
    for (const path of copied) expect(existsSync(join(root, path)), `${path} in Dockerfile`).to.equal(true);
  });

  it('gives every process longer to leave than its own grace', () => {
    const graceS = settings.graceMs.schema().parse(undefined) / 1_000;
    const times = samples.flatMap((path) =>
      [
        ...read(path).matchAll(
          /^\W*(?:stop_grace_period|TimeoutStopSec|maxShutdownDelaySeconds|kill_timeout|drainingSeconds)\W+(\d+)/gm,
        ),
      ].map(([, s]) => Number(s)),
    );
    expect(times).to.have.length.of.at.least(9);
    for (const seconds of times) expect(seconds).to.be.above(graceS);
  });

  it('is YAML and JSON that can be read, Redis evicts nothing, and no password is ours', () => {
    const render = parse(read('deploy/render.yaml')) as {
      services: { type: string; maxmemoryPolicy?: string }[];
    };
    expect(render.services.find(({ type }) => type === 'keyvalue')?.maxmemoryPolicy).to.equal('noeviction');
    const compose = parse(read('compose.yaml'), { merge: true }) as {
      services: Record<string, { command?: string[] }>;
    };
    expect(compose.services['redis']?.command?.join(' ')).to.include('--maxmemory-policy noeviction');
    // Each secret is the operator's own: without one, nothing starts.
    for (const [, fallback] of read('compose.yaml').matchAll(/\$\{\w+(:[^}]*)\}/g))
      expect(fallback).to.match(/^:\?make one/);
    for (const path of samples.filter((name) => name.endsWith('.json'))) JSON.parse(read(path));
  });
});
