import type { Knex } from 'knex';
import * as start from '../migrations/0001-start.ts';
import * as openByOwner from '../migrations/0002-open-by-owner.ts';
import * as unfetched from '../migrations/0003-unfetched.ts';
import * as slotGroup from '../migrations/0004-slot-group.ts';
import * as nameOwners from '../migrations/0005-name-owners.ts';
import * as denied from '../migrations/0006-denied.ts';
import * as redisUsers from '../migrations/0007-redis-users.ts';
import * as redisGenerations from '../migrations/0008-redis-generations.ts';
import * as atRest from '../migrations/0009-at-rest.ts';
import * as tokenParents from '../migrations/0012-token-parents.ts';
import * as requestBytes from '../migrations/0013-request-bytes.ts';
import * as backendSays from '../migrations/0014-backend-says.ts';
import * as saysInstance from '../migrations/0016-says-instance.ts';
import * as keptBytes from '../migrations/0017-kept-bytes.ts';
import * as lighterEnds from '../migrations/0018-lighter-ends.ts';
import * as projects from '../migrations/0020-projects.ts';
import * as prompts from '../migrations/0021-prompts.ts';
import * as attemptsSay from '../migrations/0022-attempts-say.ts';
import * as agents from '../migrations/0025-agents.ts';
import * as threads from '../migrations/0026-threads.ts';
import * as identity from '../migrations/0027-identity.ts';
import * as tokenFilters from '../migrations/0028-token-filters.ts';
import * as secrets from '../migrations/0029-secrets.ts';
import * as audit from '../migrations/0030-audit.ts';
import * as personalities from '../migrations/0031-personalities.ts';
import * as userMay from '../migrations/0033-user-may.ts';
import * as threadKeeping from '../migrations/0032-thread-keeping.ts';
import * as mcpServers from '../migrations/0035-mcp-servers.ts';
import * as deviceLogins from '../migrations/0036-device-logins.ts';
import * as renamed from '../migrations/0037-renamed.ts';
import * as hostedViews from '../migrations/0038-hosted-views.ts';
import * as turnsOfTools from '../migrations/0039-turns-of-tools.ts';
import * as agentPublishers from '../migrations/0040-agent-publishers.ts';
import * as declared from '../migrations/0041-declared.ts';
import * as longThreads from '../migrations/0042-long-threads.ts';
import * as sessionHolds from '../migrations/0043-session-holds.ts';
import * as joinCodes from '../migrations/0044-join-codes.ts';
import * as statusReason from '../migrations/0047-status-reason.ts';
import * as serverOffers from '../migrations/0048-server-offers.ts';
import * as turnsMadeOf from '../migrations/0049-turns-made-of.ts';
import * as unfilledAnswers from '../migrations/0052-unfilled-answers.ts';
import * as toolPins from '../migrations/0053-tool-pins.ts';
import * as hostedTurns from '../migrations/0082-hosted-turns.ts';
import * as keptPassing from '../migrations/0084-kept-passing.ts';
import * as weighedThreads from '../migrations/0085-weighed-threads.ts';
import * as titlesOfOwners from '../migrations/0087-titles-of-owners.ts';
import * as tokenUses from '../migrations/0088-token-uses.ts';
import * as formerMembers from '../migrations/0076-former-members.ts';
import * as hostedServers from '../migrations/0070-hosted-servers.ts';
import * as offerPins from '../migrations/0072-offer-pins.ts';
import * as templates from '../migrations/0054-templates.ts';
import * as pipelines from '../migrations/0055-pipelines.ts';
import * as briefings from '../migrations/0056-briefings.ts';
import * as passingThreads from '../migrations/0075-passing-threads.ts';
import * as serverTools from '../migrations/0057-server-tools.ts';
import * as callsOfProjects from '../migrations/0074-calls-of-projects.ts';
import * as meantNames from '../migrations/0073-meant-names.ts';

export interface Named extends Knex.Migration {
  name: string;
  /** The name again: knex's command line prints this. */
  file: string;
}

const named = (name: string, migration: Knex.Migration): Named => ({ name, file: name, ...migration });

/**
 * Every migration, in order. Names carry no extension, so that `.ts` in development and `.js` in `dist` are
 * the same migration. A released one is never edited: add the next.
 */
const migrations: readonly Named[] = [
  named('0001-start', start),
  named('0002-open-by-owner', openByOwner),
  named('0003-unfetched', unfetched),
  named('0004-slot-group', slotGroup),
  named('0005-name-owners', nameOwners),
  named('0006-denied', denied),
  named('0007-redis-users', redisUsers),
  named('0008-redis-generations', redisGenerations),
  named('0009-at-rest', atRest),
  named('0012-token-parents', tokenParents),
  named('0013-request-bytes', requestBytes),
  named('0014-backend-says', backendSays),
  named('0016-says-instance', saysInstance),
  named('0017-kept-bytes', keptBytes),
  named('0018-lighter-ends', lighterEnds),
  named('0020-projects', projects),
  named('0021-prompts', prompts),
  named('0022-attempts-say', attemptsSay),
  named('0025-agents', agents),
  named('0026-threads', threads),
  named('0027-identity', identity),
  named('0028-token-filters', tokenFilters),
  named('0029-secrets', secrets),
  named('0030-audit', audit),
  named('0031-personalities', personalities),
  named('0032-thread-keeping', threadKeeping),
  named('0033-user-may', userMay),
  named('0035-mcp-servers', mcpServers),
  named('0036-device-logins', deviceLogins),
  named('0037-renamed', renamed),
  named('0038-hosted-views', hostedViews),
  named('0039-turns-of-tools', turnsOfTools),
  named('0040-agent-publishers', agentPublishers),
  named('0041-declared', declared),
  named('0042-long-threads', longThreads),
  named('0043-session-holds', sessionHolds),
  named('0044-join-codes', joinCodes),
  named('0047-status-reason', statusReason),
  named('0048-server-offers', serverOffers),
  named('0049-turns-made-of', turnsMadeOf),
  named('0052-unfilled-answers', unfilledAnswers),
  named('0053-tool-pins', toolPins),
  named('0054-templates', templates),
  named('0055-pipelines', pipelines),
  named('0056-briefings', briefings),
  named('0057-server-tools', serverTools),
  named('0070-hosted-servers', hostedServers),
  named('0072-offer-pins', offerPins),
  named('0073-meant-names', meantNames),
  named('0074-calls-of-projects', callsOfProjects),
  named('0075-passing-threads', passingThreads),
  named('0076-former-members', formerMembers),
  named('0082-hosted-turns', hostedTurns),
  named('0084-kept-passing', keptPassing),
  named('0085-weighed-threads', weighedThreads),
  named('0087-titles-of-owners', titlesOfOwners),
  named('0088-token-uses', tokenUses),
];

export const migrationNames: readonly string[] = migrations.map((m) => m.name);

/** For knex: both our own run (migrate.ts) and its command line (knexfile.ts). */
export const migrationSource: Knex.MigrationSource<Named> = {
  getMigrations: async () => [...migrations],
  getMigrationName: ({ name }) => name,
  getMigration: async (migration) => migration,
};
