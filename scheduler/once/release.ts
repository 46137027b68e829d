import { randomUUID } from 'node:crypto';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { inspectRedis } from '../../core/queue/link/inspect.ts';
import { connect } from '../../core/registry/database/connect.ts';
import { inspectDatabase } from '../../core/registry/database/inspect.ts';
import { migrate } from '../../core/registry/database/migrate.ts';
import { grantHosted } from '../../core/registry/hosted/grant-hosted.ts';
import { ensureAdmin, faultOfToken } from '../../core/registry/people/bootstrap.ts';
import { createRegistry, type Registry } from '../../core/registry/registry.ts';
import { readPlainFile } from '../../core/runtime/files/plain-file.ts';
import { createLog, prettyOn, type Log } from '../../core/runtime/log.ts';
import { readAndInspect, type Inspection } from '../../core/runtime/settings/config.ts';

const MIGRATION_MS = 10 * 60_000;

const releaseSettings = [
  'databaseUrl',
  'databaseSslMode',
  'databaseCa',
  'schema',
  'databasePool',
  'optionalRedisUrl',
  'redisTlsVerify',
  'redisCa',
  'redisNodes',
  'redisSentinels',
  'redisSentinelName',
  'logLevel',
  'hostedRole',
  'bootstrapToken',
  'bootstrapTokenFile',
] as const;

/**
 * The Procfile's `release`: migrates under a lease and makes the first admin token, if one is given. It uses no Redis,
 * but looks at the one that is named: a release whose processes would not start is better stopped here.
 * @param admin whoever is at the machine makes an admin of this user (`--grant-admin`).
 */
export async function release(env: Readonly<NodeJS.ProcessEnv>, admin: string | undefined): Promise<void> {
  const config = await readAndInspect(env, releaseSettings, [
    inspectDatabase,
    (settings) => inspectRedis({ ...settings, redisUrl: settings.optionalRedisUrl }),
    inspectTokenFile,
  ]);
  const log = createLog({
    process: 'release',
    level: config.logLevel,
    pretty: await prettyOn(process.stdout),
  });
  const connection = connect({ ...config, poolSize: config.databasePool, log, queryTimeoutMs: MIGRATION_MS });
  try {
    const registry = createRegistry(connection);
    const applied = await migrate(connection, randomUUID(), () => seedTemplates(registry, log));
    if (config.hostedRole !== undefined) await grantHosted(connection, config.hostedRole);
    const file = config.bootstrapTokenFile;
    const token = file === undefined ? config.bootstrapToken : readPlainFile(file);
    if (token !== undefined) await ensureAdmin(registry, token);
    if (admin !== undefined && !(await registry.users.makeAdmin(admin)))
      throw new McpctlError(
        'user_not_found',
        `There is no user named '${admin.slice(0, 63)}' to make an admin.`,
      );
    log.info({ applied }, 'the database is up to date');
  } finally {
    await connection.close();
  }
}

/** A file of the release that cannot be read keeps nothing from starting: the others are there. */
async function seedTemplates({ templates }: Pick<Registry, 'templates'>, log: Log): Promise<void> {
  // Whoever leads reads no YAML.
  const { readTemplates } = await import('../../core/runtime/files/template-files.ts');
  const { files, faults } = readTemplates();
  for (const { path, message } of faults)
    log.error({ file: `templates/${path}`, why: message }, 'a template cannot be read, and is left out');
  const unread = faults.map(({ path }) => path.replace(/\.yaml$/, ''));
  const written = await templates.seed(files, unread);
  if (written.length > 0) log.info({ templates: written }, 'templates are as this release has them');
}

function inspectTokenFile({
  bootstrapTokenFile: path,
}: {
  bootstrapTokenFile?: string | undefined;
}): Promise<Inspection> {
  const fault = path === undefined ? undefined : faultOfFile(path);
  const faults = fault === undefined ? [] : [{ path: 'MCPCTL_BOOTSTRAP_TOKEN_FILE', message: fault }];
  return Promise.resolve({ faults });
}

function faultOfFile(path: string): string | undefined {
  try {
    return faultOfToken(readPlainFile(path));
  } catch (thrown) {
    return `it cannot be read: ${messageOf(thrown)}`;
  }
}
