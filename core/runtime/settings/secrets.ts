import { z } from 'zod';
import { messageOf } from '../../errors.ts';
import { keyringOf } from '../keyring/keyring.ts';
import { flag, isKeyPlace, list, textLike } from './kinds.ts';

/** A key is not repeated in a fault. */
const keys = z
  .string()
  .default('')
  .transform((text, context) => {
    const words = text.split(/[\s,]+/).filter(Boolean);
    try {
      if (words.length > 0) keyringOf(words);
      return words;
    } catch (thrown) {
      context.addIssue({ code: 'custom', message: messageOf(thrown) });
      return z.NEVER;
    }
  });

export const secretSettings = {
  secretsKeysFile: {
    env: 'MCPCTL_SECRETS_KEYS_FILE',
    about:
      'a file with the keys that secrets are kept under, 32 bytes in base64 a line: the first one seals, all open; ' +
      'it may be written anew under a running process',
    schema: () => z.string().optional(),
  },
  secretsKey: {
    env: 'MCPCTL_SECRETS_KEY',
    about: 'the same keys separated by commas, where no file can be given; behind those of a file',
    schema: () => keys,
  },
  secretsReveal: {
    env: 'MCPCTL_SECRETS_REVEAL',
    about: '`0`: this edge shows the values of secrets to nobody, whatever they are granted',
    schema: () => flag(true),
  },
  hostedKeys: {
    env: 'MCPCTL_HOSTED_KEYS',
    about:
      'variables and files that llms may name in `apiKeyRef`, like `OPENAI_API_KEY,/run/secrets/` (a folder ends in `/`); ' +
      "empty = any but mcpctl's own",
    schema: () => list.refine((all) => all.every(isKeyPlace), 'use names of variables, and absolute paths'),
  },
  hostedRole: {
    env: 'MCPCTL_HOSTED_ROLE',
    about: '`release` lets this role of Postgres read what hosted workers read, and nothing else',
    schema: () =>
      textLike(
        /^[a-z_][a-z0-9_-]{0,62}$/,
        'must be the name of a role: a-z 0-9 _ - and no more than 63',
      ).optional(),
  },
  hostedRedisPassword: {
    env: 'MCPCTL_HOSTED_REDIS_PASSWORD',
    about:
      'the same at scheduler and hosted workers: these sign in to Redis as a user of that password, whom the scheduler keeps ' +
      'to the pools of the public llms; empty = as REDIS_URL says',
    schema: () =>
      textLike(
        /^[\x21-\x7e]{32,256}$/,
        'must be 32 to 256 characters without blanks: openssl rand -hex 32',
      ).optional(),
  },
} as const;
