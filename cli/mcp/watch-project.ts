import { z } from 'zod';
import { isErrorCode, McpctlError } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import { jsonValue } from '../../core/text/json-text.ts';
import { Cancelled } from '../exit.ts';
import { isPassing } from '../net/follow.ts';
import type { Http } from '../net/http.ts';
import { openEvents, type ServerEvent } from '../net/sse.ts';

const count = z.number().nullable().catch(null);
const name = z.string().nullable().catch(null);
const names = z.array(z.string()).catch([]);

const gateEventSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('briefed'),
    by: z.string().catch(''),
    llm: name,
    chosen: z.array(z.object({ name: z.string(), why: z.string() })).catch([]),
    more: z.number().catch(0),
    listed: z.number().catch(0),
    dead: names,
  }),
  z.object({ kind: z.literal('gated') }),
  z.object({ kind: z.literal('read'), names }),
]);

/** Of a newer server there may be more, and other words. */
const exchangeSchema = z.looseObject({
  at: z.string(),
  user: z.string(),
  client: name,
  method: z.string(),
  name,
  server: name,
  taskId: name,
  replayed: z.boolean().catch(false),
  outcome: z.string(),
  bytes: z.object({ request: count, answer: count }).catch({ request: null, answer: null }),
  ms: z
    .object({ total: count, queue: count, start: count, run: count, pipeline: count })
    .catch({ total: null, queue: null, start: null, run: null, pipeline: null }),
  stages: names,
  gate: z
    .array(z.unknown())
    .catch([])
    .transform((all) => all.flatMap((one) => gateEventSchema.safeParse(one).data ?? [])),
  bodies: z
    .object({ request: z.unknown(), answer: z.unknown(), isCut: z.boolean().catch(false) })
    .optional()
    .catch(undefined),
  noBodies: z.string().optional().catch(undefined),
});
/** One request of a client of a project, and what it came to. */
export type SeenExchange = z.infer<typeof exchangeSchema>;

const helloSchema = z.object({ sees: z.string().catch('own') });
const missedSchema = z.object({ count });
const whySchema = z.object({ error: z.string(), code: z.string().catch('') });

export type Seen =
  /** It has begun. `sees`: `all`, or one's `own`. */
  | { kind: 'hello'; sees: string }
  | { kind: 'exchange'; exchange: SeenExchange; raw: unknown }
  /** There were others; null: it is not known how many, if any. */
  | { kind: 'missed'; count: number | null }
  /** The server goes on, and cannot tell of any now. */
  | { kind: 'away'; why: string };

export interface Wanted {
  server: string | undefined;
  tool: string | undefined;
  client: string | undefined;
  errors: boolean;
  bodies: boolean;
}

interface Watching {
  http: Http;
  signal: AbortSignal;
  note: (line: string) => void;
}

const AGAIN_MS = 500;

/**
 * What clients ask of a project, for as long as one may see it: a server that goes away after it was there once is asked again, and goes on
 * behind what was seen last. @throws McpctlError, Cancelled at Ctrl-C.
 */
export async function* watchProject(
  { http, signal, note }: Watching,
  project: string,
  { server, tool, client, errors, bodies }: Wanted,
): AsyncGenerator<Seen, void, undefined> {
  const path = `/api/v1/projects/${encodeURIComponent(project)}/traffic`;
  const flags = { ...(errors && { errors: 'true' }), ...(bodies && { bodies: 'true' }) };
  let after: string | undefined;
  let isAway = false;
  let wasThere = false;
  for (;;) {
    try {
      const query = { server, tool, client, ...flags, after };
      const { events } = await openEvents(http, { method: 'GET', path, query, signal });
      for await (const event of events) {
        after = event.id ?? after;
        const seen = seenIn(event);
        if (seen?.kind === 'hello' && isAway) note('The server is back.');
        if (seen && (seen.kind !== 'hello' || !wasThere)) yield seen;
        [isAway, wasThere] = [false, true];
      }
    } catch (thrown) {
      if (signal.aborted) throw new Cancelled('');
      // Where an edge was killed, what it held open counts for some seconds still.
      const isHeld = thrown instanceof McpctlError && thrown.code === 'too_many_requests';
      if (!wasThere || !(isPassing(thrown) || isHeld)) throw thrown;
      if (!isAway) note(`${thrown.message} Asking again …`);
      isAway = true;
    }
    await pause(AGAIN_MS, signal);
    if (signal.aborted) throw new Cancelled('');
  }
}

/** @returns null for what is not for people. @throws McpctlError why it is over. */
function seenIn({ event, data }: ServerEvent): Seen | null {
  const raw = jsonValue(data);
  switch (event ?? '') {
    case 'hello':
      return { kind: 'hello', sees: helloSchema.safeParse(raw).data?.sees ?? 'own' };
    case 'exchange': {
      const exchange = exchangeSchema.safeParse(raw).data;
      return exchange ? { kind: 'exchange', exchange, raw } : null;
    }
    case 'missed':
      return { kind: 'missed', count: missedSchema.safeParse(raw).data?.count ?? null };
    case 'away':
      return { kind: 'away', why: whySchema.safeParse(raw).data?.error ?? '' };
    case 'signed-out': {
      const { error, code } = whySchema.safeParse(raw).data ?? { error: 'It is over.', code: '' };
      throw new McpctlError(isErrorCode(code) ? code : 'unauthenticated', error);
    }
    default:
      return null;
  }
}
