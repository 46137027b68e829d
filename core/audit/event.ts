/** Where a request came from, as far as that may be written down. */
export interface Origin {
  requestId: string | null;
  /** The address of who connected, or of whom a trusted proxy says it was. */
  ip: string | null;
}

/** Whom a write is ascribed to: an actor is one. */
export interface Author {
  userId: string;
  userName: string;
  tokenId: string;
  tokenName: string;
  /** Who it is that acts as this user, where it is not themselves. */
  by?: { userId: string; userName: string };
  /** Absent where no request asked for it. */
  origin?: Origin;
}

/** One field of what was written; a value only where the definition says that it may be told. */
export type Change =
  | { field: string; from?: unknown; to?: unknown }
  /** It changed, and to what is not told. */
  | { field: string; masked: true };

/** What an event of the audit tells of. The name is the row's own, never a caller's spelling of it. */
export interface Happened {
  verb: 'view' | 'create' | 'edit' | 'delete' | 'run' | 'reveal' | 'impersonate' | 'backup' | 'restore';
  resource: string;
  id: string | null;
  name: string | null;
  /** Whose it is, or whom it is about: they see the event too. */
  ownerId?: string | null;
  changes?: readonly Change[];
  dryRun?: boolean;
  /** How many equal ones it stands for; 1 unless told. */
  count?: number;
}

/** What looks like a token of ours, wherever in a text. */
const token = /mcp(?:ctl|w)_[A-Za-z0-9_-]{16,}/;
const LONGEST = 256;

/** A text as it may stand in the audit; null: it may not, for a secret may be in it, or it is no name of anything. */
export function tellable(text: string | null): string | null {
  if (text === null || token.test(text)) return null;
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}

const harmless = /^[A-Za-z0-9._-]{1,64}$/;
/** Ids of requests are words, numbers, UUIDs and traces; what is long, and neither, is somebody's secret. */
const part = /^(?:[0-9a-f]+|[0-9A-F]+|[A-Za-z0-9]{1,20})$/;

/** The id of a request, where it is harmless whoever chose it. @param secret what the caller showed as a token. */
export function tellableRequestId(id: string, secret: string | undefined): string | null {
  if (!harmless.test(id) || tellable(id) === null || (secret !== undefined && id.includes(secret)))
    return null;
  return id.split(/[._-]/).every((each) => each === '' || part.test(each)) ? id : null;
}
