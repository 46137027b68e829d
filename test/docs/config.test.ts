import { expect } from 'chai';
import { redisPlaceNames } from '../../core/queue/link/where.ts';
import { registryLimitNames } from '../../core/registry/names/limits.ts';
import { homeAt } from '../../core/runtime/files/home.ts';
import { settings, type SettingName } from '../../core/runtime/settings/settings.ts';
import { read, span, tableOf } from './markdown.ts';

const text = read('docs/config.md');
const rows = tableOf(text, 'setting');
const names = Object.keys(settings) as SettingName[];
const envs = [...new Set(names.map((name) => settings[name].env as string))];

/** The value that a person would set to get the default; undefined where there is none, or `required`. */
function defaultOf(env: string): string | undefined {
  const parsed = names
    .filter((name) => settings[name].env === env)
    .map((n) => settings[n].schema().safeParse(undefined));
  const first = parsed.find((result) => !result.success) ?? parsed[0];
  if (!first?.success) return 'required';
  const value = first.data;
  if (value === undefined) return undefined;
  if (typeof value === 'boolean') return value ? '1' : '0';
  return typeof value === 'object' ? value.join(',') : String(value);
}

/** `10 min` → 600000. */
function amount(words: string): number {
  const units = { s: 1e3, min: 6e4, h: 36e5, d: 864e5, MB: 1e6, MiB: 1024 * 1024 };
  const [, n = '', unit = ''] = /^([\d.]+) (\w+)$/.exec(words) ?? [];
  return Number(n) * (units[unit as keyof typeof units] ?? Number.NaN);
}

/** Where each process lists the settings that it reads. */
const readers = {
  edge: 'edge/deps.ts',
  scheduler: 'scheduler/duties/duty.ts',
  release: 'scheduler/once/release.ts',
  restore: 'scheduler/once/restore.ts',
  worker: 'worker/run.ts',
  cli: 'cli/who/context.ts',
  start: 'start/main.ts',
};

/** Lists that such a list takes over whole. */
const shared: Readonly<Record<string, readonly string[]>> = { redisPlaceNames, registryLimitNames };

/** A list of three or more names of settings, in a source. */
function readIn(path: string): string[] {
  for (const [, list = ''] of read(path).matchAll(/\[([\s'\w,.]+)\]/g)) {
    const names = [...list.matchAll(/'(\w+)'|\.\.\.(\w+)/g)].flatMap(
      ([, name, whole = '']) => name ?? shared[whole] ?? [whole],
    );
    if (names.length > 2 && names.every((name) => Object.hasOwn(settings, name)))
      return [...new Set(names.map((name) => settings[name as SettingName].env as string))];
  }
  return [];
}

describe('docs/config.md', () => {
  it('lists each setting once, and no other', () => {
    expect(rows.map((row) => span(row['setting']))).to.have.members(envs);
  });

  it('says what each is for in the words of the code', () => {
    for (const row of rows) {
      const env = span(row['setting']);
      const setting = names.find((name) => settings[name].env === env);
      expect(row['about']?.replaceAll('\\', ''), env).to.equal(setting && settings[setting].about);
    }
  });

  it('says the default of each, in figures and in words', () => {
    for (const row of rows) {
      const env = span(row['setting']);
      const cell = row['default'] ?? '';
      const listed = { required: 'required', none: undefined, empty: '' };
      const documented = Object.hasOwn(listed, cell) ? listed[cell as keyof typeof listed] : span(cell);
      expect(documented, env).to.equal(defaultOf(env));
      const words = /\((.*)\)/.exec(cell)?.[1];
      if (words !== undefined) expect(amount(words), env).to.equal(Number(defaultOf(env)));
    }
  });

  it('says which processes read each', () => {
    const listed = Object.keys(readers).map((process) => [
      process,
      rows
        .filter((row) => row['read by']?.split(', ').includes(process))
        .map((row) => span(row['setting']))
        .sort(),
    ]);
    const actual = Object.entries(readers).map(([process, path]) => [process, readIn(path).sort()]);
    expect(listed).to.deep.equal(actual);
  });

  it('lists the files of the home', () => {
    const { root: _root, ...files } = homeAt('/home');
    const listed = tableOf(text, 'file').map((row) => span(row['file']).replace(/\/$/, ''));
    expect(listed).to.include.members(Object.values(files).map((path) => path.replace('/home/', '')));
  });
});

describe('.env.example', () => {
  const lines = read('.env.example').split('\n');
  const values = lines.flatMap((line) => {
    const [, env, value = ''] = /^# ([A-Z_]+)=(.*)$/.exec(line) ?? [];
    return env === undefined ? [] : [[env, value] as const];
  });

  it('has each setting once with its default, and no other', () => {
    const wanted = envs.map((env) => {
      const value = defaultOf(env);
      return [env, value === undefined || value === 'required' ? '' : value];
    });
    expect(values).to.have.deep.members(wanted);
  });

  it('sets nothing by itself', () => {
    expect(lines.filter((line) => line !== '' && !line.startsWith('#'))).to.deep.equal([]);
  });

  it('says above each what it is for', () => {
    for (const name of names) {
      const at = lines.findIndex((line) => line.startsWith(`# ${settings[name].env}=`));
      expect(lines[at - 1]).to.equal(`# ${settings[name].about}`);
    }
  });
});
