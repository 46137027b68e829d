import {
  deviceAskSchema,
  deviceBeginSchema,
  deviceBegunSchema,
  deviceTokenSchema,
  deviceWaitingSchema,
} from '../../core/access/device-login.ts';
import type { Operation } from './operation.ts';

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
