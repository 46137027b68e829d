import { McpctlError } from '../errors.ts';
import { hashToken, type Tokens } from './tokens.ts';
import type { Users } from './users.ts';

const SHORTEST = 32;

/**
 * The first way in: user `admin` and a token of the given text. Idempotent; a token that was revoked stays so.
 * @throws McpctlError `invalid_config` when the text is too short to be a secret.
 */
export async function ensureAdmin(
  { users, tokens }: { users: Users; tokens: Tokens },
  tokenText: string,
): Promise<void> {
  const text = tokenText.trim();
  if (text.length < SHORTEST || !/^[\x21-\x7e]+$/.test(text)) {
    throw new McpctlError(
      'invalid_config',
      `The bootstrap token must be at least ${SHORTEST} printable characters without spaces.`,
    );
  }
  const admin = await users.ensure('admin', 'admin');
  const taken = await tokens.byName(admin.id, 'bootstrap');
  // A new home brings a new token; the former one stays valid until somebody revokes it.
  const name = taken ? `bootstrap-${hashToken(text).slice(0, 8)}` : 'bootstrap';
  await tokens.ensure({ userId: admin.id, name, pools: null, expiresInDays: null, createdBy: null }, text);
}
