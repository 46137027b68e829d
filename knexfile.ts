import { migrationSource } from './core/registry/database/migration-source.ts';

/** For knex's own command line (`npx knex migrate:status`); the product migrates with `scheduler/main.js release`. */
const schema = process.env['MCPCTL_PG_SCHEMA'] ?? 'public';

export default {
  client: 'pg',
  connection: process.env['DATABASE_URL'] ?? 'postgres://localhost/mcpctl',
  searchPath: [schema],
  migrations: { migrationSource, schemaName: schema },
};
