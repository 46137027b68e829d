import type { Knex } from 'knex';
import { z } from 'zod';
import type { Place, SealedItem, Wrapped } from '../../runtime/keyring/envelope.ts';

/** No key of a backend is longer: what is goes into no header, and is not read. */
const MOST_KEY_BYTES = 8_192;

/** The key of a public llm as it is kept, to be opened where the backend is called. */
export interface SealedKey {
  place: Place;
  key: string;
  wrapped: Wrapped;
  /** Null where there is none of that name by now, or it is too long to be a key. */
  item: SealedItem | null;
  /** Where it may be sent. */
  origins: readonly string[];
}

const rowSchema = z.object({
  llmId: z.string(),
  key: z.string(),
  installation: z.string(),
  secretId: z.string(),
  name: z.string(),
  version: z.number(),
  kid: z.string(),
  wrappedDek: z.string(),
  item: z.object({ bytes: z.number(), sealed: z.string() }).nullable(),
  allowedOrigins: z.array(z.string()),
  origin: z.string().nullable(),
});

type Row = z.infer<typeof rowSchema>;
const serverRowSchema = z.object({ llmId: z.string(), place: z.string() });

/** What hosted MCP servers are given of secrets: by `<id of its llm> <place>`. */
export async function readServerKeys(db: Knex, llmIds: readonly string[]): Promise<Map<string, SealedKey>> {
  if (llmIds.length === 0) return new Map();
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `select llm_id, place, key, installation, secret_id, name, version, allowed_origins, origin, kid, wrapped_dek, item
     from hosted_server_keys where llm_id = any(cast(:ids as uuid[]))`,
    { ids: [...llmIds] },
  );
  return new Map(
    rows.map((row) => {
      const { llmId, place } = serverRowSchema.parse(row);
      return [`${llmId} ${place}`, sealedOf(rowSchema.parse(row))];
    }),
  );
}

/**
 * The keys of public llms that somebody was allowed to refer to, by the llms' ids. The llm must name the secret still, and
 * that key of it: a release that knows no secrets may have written its row since.
 */
export async function readServedKeys(db: Knex, llmIds: readonly string[]): Promise<Map<string, SealedKey>> {
  if (llmIds.length === 0) return new Map();
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `select llm_id, key, installation, secret_id, name, version, allowed_origins, origin, kid, wrapped_dek,
       case when (item ->> 'bytes')::int <= :most then item end as item
     from hosted_keys where llm_id = any(cast(:ids as uuid[]))`,
    { ids: [...llmIds], most: MOST_KEY_BYTES },
  );
  return new Map(
    rows.map((row) => {
      const parsed = rowSchema.parse(row);
      return [parsed.llmId, sealedOf(parsed)];
    }),
  );
}

function sealedOf({
  key,
  installation,
  secretId,
  name,
  version,
  kid,
  wrappedDek,
  item,
  ...rest
}: Row): SealedKey {
  const origins =
    rest.allowedOrigins.length > 0 ? rest.allowedOrigins : rest.origin === null ? [] : [rest.origin];
  return {
    place: { installation, secretId, name, version },
    key,
    wrapped: { kid, wrappedDek },
    item,
    origins,
  };
}
