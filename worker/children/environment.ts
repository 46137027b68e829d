import { join } from 'node:path';
import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import { readPlainFile } from '../../core/runtime/files/plain-file.ts';
import { withoutSecret } from '../providers/http/scrub.ts';
import { jsonFile } from '../sources/json-file.ts';
import type { McpServerEntry } from '../sources/config-schema.ts';

/** What of the worker's own environment a child may see; nothing else of it. */
const passedOn = /^(PATH|HOME|TMPDIR|LANG|LC_[A-Z]+|TZ|USER)$/;
/** Shorter ones would blank what is no secret. */
export const LEAST_SECRET = 8;

const secretSchema = z.record(z.string(), z.string());

/** What is to be given to a server is not there: it is not started, and that is said. */
export class Unresolved extends McpctlError {
  constructor(why: string) {
    super('mcp_server_down', `secret_unresolved: ${why}`);
  }
}

export interface ChildEnvironment {
  env: Record<string, string>;
  /** Secret values, and what is shown in place of each. */
  secrets: ReadonlyMap<string, string>;
}

/**
 * A child's environment, made anew at each start: what is declared, and a little of the worker's. Secrets are read from
 * files of this machine, `<home>/secrets/<name>`.
 * @throws Unresolved naming what is missing, and never a value.
 */
export function childEnvironment(
  { env: declared }: Pick<McpServerEntry, 'env'>,
  { own, secretsAt }: { own: Readonly<Record<string, string | undefined>>; secretsAt: string },
): ChildEnvironment {
  return environmentOf(declared, {
    own,
    secretOf({ valueFrom: { secretRef } }) {
      const value = secretOf(secretsAt, secretRef);
      return value ?? { missing: `the secret '${secretRef.name}' has no key '${secretRef.key}' here` };
    },
  });
}

type Declared = McpServerEntry['env'][number];
export type FromSecret = Declared & { valueFrom: NonNullable<Declared['valueFrom']> };

/**
 * The same, wherever the secrets are. @param how `own` is the worker's environment; `secretOf` a value, or why there is none.
 * @throws Unresolved
 */
export function environmentOf(
  declared: readonly Declared[],
  {
    own,
    secretOf,
  }: {
    own: Readonly<Record<string, string | undefined>>;
    secretOf: (of: FromSecret) => string | { missing: string };
  },
): ChildEnvironment {
  const env: Record<string, string> = {};
  const secrets = new Map<string, string>();
  for (const [name, value] of Object.entries(own))
    if (value !== undefined && passedOn.test(name)) env[name] = value;
  for (const variable of declared) {
    const { name, value, valueFrom, optional } = variable;
    if (!valueFrom) {
      if (value !== undefined) env[name] = value;
      continue;
    }
    const resolved = secretOf({ ...variable, valueFrom });
    if (typeof resolved !== 'string') {
      if (optional) continue;
      throw new Unresolved(`${resolved.missing}, which ${name} is to be`);
    }
    env[name] = resolved;
    // Also without the end of a line, which one that came from a file mostly has.
    for (const form of [resolved, resolved.trim()])
      if (form.length >= LEAST_SECRET) secrets.set(form, valueFrom.secretRef.name);
  }
  return { env, secrets };
}

/** A text with the values of secrets taken out. */
export const withoutSecrets = (text: string, secrets: ChildEnvironment['secrets']): string =>
  [...secrets].reduce((all, [value, name]) => withoutSecret(all, value, `[redacted:${name}]`), text);

/** The same secrets for what is looked at line by line: each line of one is one, too. */
export const withTheirLines = (secrets: ChildEnvironment['secrets']): ChildEnvironment['secrets'] =>
  new Map([
    ...secrets,
    ...[...secrets].flatMap(([value, name]) =>
      value
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line.length >= LEAST_SECRET)
        .map((line) => [line, name] as const),
    ),
  ]);

function secretOf(folder: string, { name, key }: { name: string; key: string }): string | undefined {
  try {
    const read = secretSchema.safeParse(jsonFile(readPlainFile(join(folder, name)), name));
    return read.success && Object.hasOwn(read.data, key) ? read.data[key] : undefined;
  } catch {
    return undefined; // what is wrong with it may be a part of it
  }
}
