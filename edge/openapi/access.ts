import {
  deviceAskSchema,
  deviceBeginSchema,
  deviceBegunSchema,
  deviceTokenSchema,
  deviceWaitingSchema,
} from '../../core/access/device-login.ts';
import {
  joinCodeSchema,
  joinCodeViewSchema,
  madeJoinCodesSchema,
  joinedSchema,
  joinRequestSchema,
  joinRequestViewSchema,
  joinSchema,
  leftSchema,
} from '../../core/access/join-code.ts';
import { templateViewSchema } from '../../core/mcp/hosted/template.ts';
import { listQuerySchema } from '../../core/page.ts';
import { auditQuerySchema, auditViewSchema } from '../../core/audit/query.ts';
import {
  keyringViewSchema,
  revealedSchema,
  revealSchema,
  rollbackSchema,
  secret,
  secretVersionSchema,
} from '../../core/resources/people/secret.ts';
import { systemViewSchema } from '../../core/operator/system.ts';
import { z } from 'zod';
import { reviewSchema, reviewViewSchema, whoCanSchema, whoCanViewSchema } from '../../core/access.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { listOf, type Operation } from './operation.ts';

export const accessOperations: readonly Operation[] = [
  {
    call: 'POST /access/review',
    tag: 'access',
    summary: 'May somebody do that, and by what?',
    about: 'Of oneself, with this very token; of another, for who may view users, groups and rbac.',
    body: reviewSchema,
    status: 200,
    answer: reviewViewSchema.meta({ id: 'Review' }),
    errors: ['invalid_request', 'user_not_found'],
  },
  {
    call: 'POST /access/who-can',
    tag: 'access',
    summary: 'Who may do that, and by what?',
    about: 'For who may view users, groups and rbac. Enabled users, in the order of their names.',
    body: whoCanSchema,
    status: 200,
    answer: whoCanViewSchema.meta({ id: 'WhoCan' }),
    errors: ['invalid_request'],
  },
  {
    call: 'GET /system',
    tag: 'access',
    summary: 'Edges, stores, scheduler and duties',
    about: 'For who may view the board of queues. What cannot be asked now is left out, or told as away.',
    status: 200,
    answer: systemViewSchema.meta({ id: 'System' }),
    errors: ['forbidden'],
  },
];

export const auditOperations: readonly Operation[] = [
  {
    call: 'GET /audit',
    tag: 'audit',
    summary: 'What was written and refused, by whom',
    about:
      'Newest first, unless `order=asc`. Who may view the audit sees all of it; everybody sees what they did, what was done in their name, and what was done to what is theirs. `format=jsonl` is all of it as a file, a line each.',
    query: auditQuerySchema,
    status: 200,
    answer: listOf(auditViewSchema.meta({ id: 'AuditEvent' })),
    also: [{ status: 200, answerType: 'application/x-ndjson' }],
    errors: ['invalid_request', 'invalid_cursor', 'forbidden'],
  },
];

const errors: readonly ErrorCode[] = ['group_not_found', 'user_not_found', 'escalation'];

/** What people call of groups besides create, read, update and delete. */
export const groupOperations: readonly Operation[] = [
  {
    call: 'PUT /groups/{name}/members/{user}',
    tag: 'groups',
    summary: 'Put a user into a group',
    about: 'Idempotent. For who may edit the group, and has all that its members are granted by it.',
    status: 204,
    errors,
  },
  {
    call: 'DELETE /groups/{name}/members/{user}',
    tag: 'groups',
    summary: 'Take a user out of a group',
    about: 'Idempotent, and guarded as to put one in.',
    status: 204,
    errors: [...errors, 'last_admin'],
  },
];

export const templateOperations: readonly Operation[] = [
  {
    call: 'GET /templates',
    tag: 'templates',
    summary: 'List templates of MCP servers',
    about:
      'What comes with the release that runs here: a package of npm to the byte, and what it is to be told.',
    query: listQuerySchema,
    status: 200,
    answer: listOf(templateViewSchema.meta({ id: 'Template' })),
    errors: ['invalid_request', 'invalid_cursor'],
  },
  {
    call: 'GET /templates/{name}',
    tag: 'templates',
    summary: 'Show a template',
    status: 200,
    answer: templateViewSchema,
    errors: ['template_not_found'],
  },
];

/** What people call of secrets besides create, read, update and delete. */
export const secretOperations: readonly Operation[] = [
  {
    call: 'POST /secrets/{name}/reveal',
    tag: 'secrets',
    summary: 'Show the values of a secret',
    about:
      'For who may view the secret and has the operation `reveal`; nobody else is told whether it is there. Of one secret a call.',
    body: revealSchema,
    status: 200,
    answer: revealedSchema.meta({ id: 'Revealed' }),
    errors: ['secret_not_found', 'secret_undecryptable', 'secrets_disabled'],
  },
  {
    call: 'GET /secrets/{name}/versions',
    tag: 'secrets',
    summary: 'List the versions of a secret that are kept',
    about: 'The newest first; none of their values.',
    status: 200,
    answer: z.object({ items: z.array(secretVersionSchema) }).meta({ id: 'SecretVersions' }),
    errors: ['secret_not_found'],
  },
  {
    call: 'POST /secrets/{name}/rollback',
    tag: 'secrets',
    summary: 'Make the values of a former version the current ones',
    about: 'As a version of their own, the newest.',
    body: rollbackSchema,
    status: 200,
    answer: secret.schemas.view,
    errors: [
      'invalid_request',
      'secret_not_found',
      'secret_in_use',
      'secret_undecryptable',
      'secrets_disabled',
    ],
  },
  {
    call: 'GET /keyring',
    tag: 'secrets',
    summary: 'Show under which keys secrets are kept',
    about: 'For who may view every secret. A key under which no version is kept is needed no more.',
    status: 200,
    answer: keyringViewSchema.meta({ id: 'Keyring' }),
    errors: [],
  },
];

const forStrangers = { tag: 'tokens', isPublic: true } as const;

/** What a program without a token asks for one with. */
export const deviceOperations: readonly Operation[] = [
  {
    ...forStrangers,
    call: 'POST /login/device',
    summary: 'Begin a login that somebody approves in a browser',
    about:
      'Show `userCode` to the person, who types it at `/admin/device` of the same server, and keep `deviceCode`. It is good for ten minutes.',
    body: deviceBeginSchema,
    status: 201,
    answer: deviceBegunSchema,
    errors: ['invalid_request'],
  },
  {
    ...forStrangers,
    call: 'POST /login/device/token',
    summary: 'Ask whether a login was approved, and take its token',
    about:
      'Not more often than every `intervalS` seconds. The token is made with the one that approved, is never wider, ends with it, and is shown this once.',
    body: deviceAskSchema,
    status: 200,
    answer: deviceTokenSchema,
    also: [{ status: 202, answer: deviceWaitingSchema }],
    errors: [
      'invalid_request',
      'escalation',
      'login_denied',
      'quota_exceeded',
      'device_code_expired',
      'slow_down',
    ],
  },
];

/** How a machine gets a credential of its own that publishes and serves, and how that ends. */
export const joinOperations: readonly Operation[] = [
  {
    call: 'POST /join-codes',
    tag: 'worker',
    summary: 'Make a code that a machine joins some pools with',
    about:
      'Good once, for ten minutes, and shown this once; twenty of a user at one time. The credential that comes of it is made with the token that makes the code, and ends with that.',
    body: joinCodeSchema,
    status: 201,
    answer: joinCodeViewSchema.meta({ id: 'JoinCode' }),
    errors: ['invalid_request', 'escalation', 'pool_not_yours', 'quota_exceeded'],
  },
  {
    call: 'GET /join-codes',
    tag: 'worker',
    summary: 'List join codes: those that are good, and those that were used or are over, for a day',
    about:
      'Yours, or everybody’s for who may view all tokens; newest first, two hundred at most. The codes themselves are kept nowhere.',
    status: 200,
    answer: madeJoinCodesSchema.meta({ id: 'JoinCodes' }),
    errors: [],
  },
  {
    call: 'DELETE /join-codes/{id}',
    tag: 'worker',
    summary: 'Withdraw a join code: nobody joins with it any more',
    about: 'One that was used is refused: the worker that came of it is revoked.',
    status: 204,
    errors: ['join_code_unknown', 'join_code_used'],
  },
  {
    ...forStrangers,
    tag: 'worker',
    call: 'POST /join',
    summary: 'Exchange a join code for a credential',
    about:
      'It may publish and serve in the pools of the code, and call nothing. Of several who come with one code, one gets it.',
    body: joinSchema,
    status: 201,
    answer: joinedSchema,
    errors: [
      'invalid_request',
      'escalation',
      'join_code_unknown',
      'join_code_used',
      'join_code_expired',
      'name_taken',
      'quota_exceeded',
    ],
  },
  {
    call: 'POST /join-requests',
    tag: 'worker',
    summary: 'See which machine waits behind a code that it shows, and let it in or not',
    about: 'Begun by the machine with `POST /login/device` and `pools`. Without `answer` nothing is decided.',
    body: joinRequestSchema,
    status: 200,
    answer: joinRequestViewSchema,
    errors: ['invalid_request', 'escalation', 'device_code_expired', 'too_many_requests'],
  },
  {
    call: 'POST /leave',
    tag: 'worker',
    summary: 'End the worker’s credential that it is asked with',
    about: 'What it publishes ends with it, and the rows of its llms are deleted.',
    status: 200,
    answer: leftSchema,
    errors: [],
  },
];
