import { McpctlError, type Fault } from '../../errors.ts';
import { nearest } from '../nearest.ts';
import { withRedisUrl } from './redis.ts';
import { settings, type SettingName, type Settings } from './settings.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** What could be read of the settings; where there are faults, the rest is missing. */
export type Known<K extends SettingName> = { readonly [P in K]?: Settings<K>[P] | undefined };

/** What a look at something that the environment names found. */
export interface Inspection {
  /** Wrong settings, each with its fix. */
  faults: readonly Fault[];
  /** It could not be reached. No fault, for it may come; but told along with faults. */
  away?: Fault;
}

export type Inspect<K extends SettingName> = (settings: Known<K>) => Promise<Inspection>;

/**
 * Reads the named settings from the environment, once, at the start of a process.
 * @throws McpctlError `invalid_config` with every fault at once: wrong values, missing ones, and `MCPCTL_*`
 *   names that nothing reads.
 */
export function readConfig<K extends SettingName>(env: Env, names: readonly K[]): Settings<K> {
  const { values, faults } = parse(env, names);
  if (faults.length > 0) throw invalid(faults);
  return Object.freeze(values) as Settings<K>;
}

/**
 * The same, and looks at what the environment names (Redis, Postgres, files), also when it has faults: so that one
 * message has all of them. Each look is bounded by itself.
 * @throws McpctlError `invalid_config` with every fault at once.
 */
export async function readAndInspect<K extends SettingName>(
  env: Env,
  names: readonly K[],
  looks: readonly Inspect<K>[],
): Promise<Settings<K>> {
  const { values, faults } = parse(env, names);
  const seen = await Promise.all(looks.map((look) => look(values)));
  const all = [...faults, ...seen.flatMap((inspection) => inspection.faults)];
  if (all.length > 0) throw invalid([...all, ...seen.flatMap(({ away }) => away ?? [])]);
  return Object.freeze(values) as Settings<K>;
}

function parse<K extends SettingName>(
  given: Env,
  names: readonly K[],
): { values: Known<K>; faults: readonly Fault[] } {
  const env = withRedisUrl(given);
  const faults: Fault[] = [];
  const values: Record<string, unknown> = {};
  for (const name of names) {
    const setting = settings[name];
    const raw = env[setting.env];
    const parsed = setting.schema().safeParse(raw === '' ? undefined : raw);
    if (parsed.success) values[name] = parsed.data;
    else {
      const missing = raw === undefined || raw === '';
      const fixes = [...new Set(parsed.error.issues.map((issue) => issue.message))].join('; ');
      const message = missing ? `is required; ${fixes}` : fixes;
      faults.push({ path: setting.env, message: `${message} (${setting.about})` });
    }
  }
  faults.push(...unknownNames(env));
  return { values: values as Known<K>, faults };
}

function invalid(faults: readonly Fault[]): McpctlError {
  const lines = faults.map((f) => `  ${f.path}: ${f.message}`).join('\n');
  return new McpctlError('invalid_config', `The environment has faults:\n${lines}`, { details: faults });
}

function unknownNames(env: Env): Fault[] {
  const names = new Set(Object.values(settings).map((s) => s.env as string));
  return Object.keys(env)
    .filter((name) => name.startsWith('MCPCTL_') && !names.has(name))
    .map((name) => {
      const near = nearest(name, names, 1)[0];
      const fix = near ? `did you mean ${near}?` : 'remove it; docs/config.md lists all';
      return { path: name, message: `is not a setting; ${fix}` };
    });
}
