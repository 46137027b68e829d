import { McpctlError } from '../../errors.ts';
import { tokenText } from '../../runtime/settings/kinds.ts';
import { sqlFaultOf } from '../database/faults.ts';
import { hashToken, type Tokens } from './tokens.ts';
import type { Users } from './users.ts';

const TRIES = 5;

/** What is wrong with the text of a first token, and what to use instead. */
export function faultOfToken(text: string): string | undefined {
  return tokenText.safeParse(text).error?.issues[0]?.message;
}

/**
 * The first way in: user `admin` and a token of the given text. Idempotent; a token that was revoked stays so.
 * @throws McpctlError `invalid_config` when the text is too short to be a secret.
 */
export async function ensureAdmin(
  { users, tokens }: { users: Users; tokens: Tokens },
  given: string,
): Promise<void> {
  const text = given.trim();
  const fault = faultOfToken(text);
  if (fault !== undefined)
    throw new McpctlError('invalid_config', `The bootstrap token will not do: ${fault}.`);
  // Whoever has it may be called otherwise by now.
  if (await tokens.isKnown(text)) return;
  const admin = await users.ensure('admin', 'admin');
  const once = async (): Promise<void> => {
    const taken = await tokens.byName(admin.id, 'bootstrap');
    // A new home brings a new token; the former one stays valid until somebody revokes it.
    const name = taken ? `bootstrap-${hashToken(text).slice(0, 8)}` : 'bootstrap';
    await tokens.ensure({ userId: admin.id, name, pools: null, expiresInDays: null, createdBy: null }, text);
  };
  for (let tried = 1; ; tried++) {
    try {
      return await once();
    } catch (thrown) {
      // Another release took the name in the same moment, maybe for this very text.
      if (tried === TRIES || sqlFaultOf(thrown)?.constraint !== 'tokens_name') throw thrown;
    }
  }
}
