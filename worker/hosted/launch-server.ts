import { mkdirSync } from 'node:fs';
import { messageOf } from '../../core/errors.ts';
import type { ServerVariable } from '../../core/mcp/hosted/source.ts';
import { openItem } from '../../core/runtime/keyring/envelope.ts';
import type { KeyringSource } from '../../core/runtime/keyring/keyring.ts';
import { environmentOf, LEAST_SECRET, Unresolved, type ChildEnvironment } from '../children/environment.ts';
import type { GroupGuard } from '../children/guard.ts';
import { ensureProgram } from '../install/ensure.ts';
import { Child } from '../mcp/child.ts';
import { HttpPeer } from '../mcp/http-peer.ts';
import type { SupervisedDeps } from '../mcp/supervised.ts';
import type { Dialling } from '../providers/http/wire/exchange.ts';
import { createExchange } from '../providers/http/wire/exchange.ts';
import type { HostedServer, RegistrySource } from '../sources/registry.ts';

export interface LaunchServerDeps {
  source: Pick<RegistrySource, 'sealedFor'>;
  keyring: KeyringSource;
  /** Of this process: what a child may see of it. */
  env: Readonly<Record<string, string | undefined>>;
  /** Where packages are: `<home>/mcp`. */
  root: string;
  dialling: Dialling;
  guard: GroupGuard;
  now: () => number;
}

/** A value of a secret, opened where it is used; else why there is none, and never a part of one. */
type SecretAt = (place: string, of: { name: string; key: string }) => string | { missing: string };

/** How a hosted server is begun: as a child of this worker, or by dialling it. What is secret of it is opened now, and never before. */
export function launchServer(row: HostedServer, deps: LaunchServerDeps): SupervisedDeps['launch'] {
  const { runs } = row;
  return async (listeners, over) => {
    if ('url' in runs) {
      const url = new URL(runs.url);
      const { headers, secrets } = headersOf(runs.headers, secretAt(row, deps, url.origin));
      const exchange = createExchange(deps.dialling, { mostIdle: 0 });
      return new HttpPeer({ ...listeners, url, headers, secrets, exchange });
    }
    const { env, secrets } = environmentFor(row, deps);
    const { guard, root } = deps;
    mkdirSync(root, { recursive: true, mode: 0o700 });
    if ('command' in runs)
      return new Child({
        ...listeners,
        command: runs.command,
        args: runs.args,
        cwd: runs.cwd ?? root,
        env,
        secrets,
        guard,
      });
    const path = await ensureProgram(runs, { root, environment: deps.env, now: deps.now(), signal: over });
    const args = [path, ...runs.args];
    return new Child({ ...listeners, command: process.execPath, args, cwd: root, env, secrets, guard });
  };
}

function environmentFor(row: HostedServer, deps: LaunchServerDeps): ChildEnvironment {
  const own = new Set(row.env.map(({ name }) => name));
  const ofTemplate = 'package' in row.runs ? row.runs.env.filter(({ name }) => !own.has(name)) : [];
  const at = secretAt(row, deps, null);
  return environmentOf([...ofTemplate.map((one) => ({ ...one, optional: false })), ...row.env], {
    own: deps.env,
    secretOf: ({ name, valueFrom: { secretRef } }) => at(`env.${name}`, secretRef),
  });
}

function headersOf(
  declared: readonly ServerVariable[],
  at: SecretAt,
): { headers: Record<string, string>; secrets: Map<string, string> } {
  const headers: Record<string, string> = {};
  const secrets = new Map<string, string>();
  for (const { name, value, valueFrom, optional } of declared) {
    if (!valueFrom) {
      headers[name] = value ?? '';
      continue;
    }
    const resolved = at(`headers.${name.toLowerCase()}`, valueFrom.secretRef);
    const text = typeof resolved === 'string' ? resolved.trim() : resolved;
    if (typeof text !== 'string') {
      if (optional) continue;
      throw new Unresolved(`${text.missing}, which the header ${name} is to be`);
    }
    if (!/^[\t\x20-\x7e]+$/.test(text))
      throw new Unresolved(
        `the secret '${valueFrom.secretRef.name}' holds nothing that can be in the header ${name}`,
      );
    headers[name] = text;
    if (text.length >= LEAST_SECRET) secrets.set(text, valueFrom.secretRef.name);
    // A key behind its word, as in "Bearer …", is one by itself.
    const [, key = ''] = text.split(' ', 2);
    if (key.length >= LEAST_SECRET) secrets.set(key, valueFrom.secretRef.name);
  }
  return { headers, secrets };
}

/** @param origin where it is to be sent; null: to a process, for which it must be bound to no origin. */
const secretAt =
  ({ id }: HostedServer, { source, keyring }: LaunchServerDeps, origin: string | null): SecretAt =>
  (place, { name, key }) => {
    const sealed = source.sealedFor(id, place);
    if (!sealed) return { missing: `there is no secret '${name}' that this server may have` };
    const { origins, item, wrapped } = sealed;
    if (origin === null ? origins.length > 0 : !origins.includes(origin))
      return { missing: `the secret '${name}' may not be sent there; its allowedOrigins say where it may` };
    if (!item) return { missing: `the secret '${name}' has no key '${key}'` };
    const keys = keyring.now();
    if (!keys) return { missing: 'the hosted worker has no key for secrets (MCPCTL_SECRETS_KEYS_FILE)' };
    try {
      return openItem(keys, sealed.place, { key, item, ...wrapped });
    } catch (thrown) {
      return { missing: messageOf(thrown).replace(/\.$/, '') };
    }
  };
