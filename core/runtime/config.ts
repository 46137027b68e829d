import { McpctlError, type Fault } from '../errors.ts';
import { nearest } from './nearest.ts';
import { settings, type SettingName, type Settings } from './settings.ts';

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Reads the named settings from the environment, once, at the start of a process.
 * @throws McpctlError `invalid_config` with every fault at once: wrong values, missing ones, and `MCPCTL_*`
 *   names that nothing reads.
 */
export function readConfig<K extends SettingName>(env: Env, names: readonly K[]): Settings<K> {
  const faults: Fault[] = [];
  const values: Record<string, unknown> = {};
  for (const name of names) {
    const setting = settings[name];
    const raw = env[setting.env];
    const parsed = setting.schema.safeParse(raw === '' ? undefined : raw);
    if (parsed.success) values[name] = parsed.data;
    else {
      const missing = raw === undefined || raw === '';
      const message = missing ? 'is required' : parsed.error.issues.map((i) => i.message).join('; ');
      faults.push({ path: setting.env, message: `${message} (${setting.about})` });
    }
  }
  faults.push(...unknownNames(env));
  if (faults.length > 0) {
    const lines = faults.map((f) => `  ${f.path}: ${f.message}`).join('\n');
    throw new McpctlError('invalid_config', `The environment has faults:\n${lines}`, { details: faults });
  }
  return Object.freeze(values) as Settings<K>;
}

function unknownNames(env: Env): Fault[] {
  const known = new Set(Object.values(settings).map((s) => s.env as string));
  return Object.keys(env)
    .filter((name) => name.startsWith('MCPCTL_') && !known.has(name))
    .map((name) => {
      const near = nearest(name, known, 1)[0];
      return {
        path: name,
        message: near ? `is not a setting; did you mean ${near}?` : 'is not a setting; see docs/config.md',
      };
    });
}
