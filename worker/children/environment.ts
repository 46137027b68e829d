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
const LEAST_SECRET = 8;

const secretSchema = z.record(z.string(), z.string());

export interface ChildEnvironment {
  env: Record<string, string>;
  /** Secret values, and what is shown in place of each. */
  secrets: ReadonlyMap<string, string>;
}

/**
 * A child's environment, made anew at each start: what is declared, and a little of the worker's. Secrets are read from
 * files of this machine, `<home>/secrets/<name>`.
 * @throws McpctlError `mcp_server_down` naming what is missing, and never a value.
 */
export function childEnvironment(
  { env: declared }: Pick<McpServerEntry, 'env'>,
  { own, secretsAt }: { own: Readonly<Record<string, string | undefined>>; secretsAt: string },
): ChildEnvironment {
  const env: Record<string, string> = {};
  const secrets = new Map<string, string>();
  for (const [name, value] of Object.entries(own))
    if (value !== undefined && passedOn.test(name)) env[name] = value;
  for (const { name, value, valueFrom, optional } of declared) {
    const resolved = valueFrom ? secretOf(secretsAt, valueFrom.secretRef) : value;
    if (resolved === undefined) {
      if (optional || !valueFrom) continue;
      const { secretRef } = valueFrom;
      throw new McpctlError(
        'mcp_server_down',
        `the secret '${secretRef.name}' has no key '${secretRef.key}' here, which ${name} is to be`,
      );
    }
    env[name] = resolved;
    if (!valueFrom) continue;
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
