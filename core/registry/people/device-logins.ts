import { createHash, randomBytes } from 'node:crypto';
import type { Knex } from 'knex';
import { z } from 'zod';
import type { Actor } from '../../access.ts';
import { withinFilter } from '../../access/covers.ts';
import { workerFilter } from '../../access/join-code.ts';
import { DEVICE, userCodeFrom } from '../../access/device-login.ts';
import { presets, type FilterWords, type Preset } from '../../access/filter.ts';
import type { Origin } from '../../audit/event.ts';
import { McpctlError } from '../../errors.ts';
import { record } from '../audit/record.ts';
import type { Connection } from '../database/connect.ts';
import { checkMint, needMayMint, needMayPublish } from './mint.ts';
import { tokenNameOf, type TokenRow, type Tokens } from './tokens.ts';

interface Begin {
  machine: string;
  /** As it is shown to whoever approves. */
  address: string;
  /** What counts as one address. */
  addressKey: string;
  preset: Preset;
  days: number;
  /** A worker's own credential, bound to these; null: a person's token. */
  pools: readonly string[] | null;
}

/** What a release without join codes does not read: it would give a token that is bound to no pool. */
const WORKER = 'worker';

const waitingSchema = z.object({
  hash: z.string(),
  machine: z.string(),
  address: z.string(),
  preset: z.enum([...presets, WORKER]),
  days: z.number(),
  pools: z.array(z.string()).nullable(),
});

type Waiting = z.infer<typeof waitingSchema>;
type Approved = Waiting & { approvedBy: string };

/** A program that waits, as whoever may approve it is shown it. */
export interface WaitingDevice {
  machine: string;
  address: string;
  days: number;
  /** Of a worker, which is to publish in them; null: somebody logs in. */
  pools: readonly string[] | null;
  /** What the token would let through: no more than the one that approves it. */
  filter: FilterWords;
}

/** A code as `typedCode` makes it, and who typed it. */
interface Typed {
  userCode: string;
  actor: Actor;
}

/** Programs that wait for a token of whoever types their code. None knows a token before it is asked for with the device's own code. */
export interface DeviceLogins {
  /** @throws McpctlError `too_many_requests` where as many wait already, of that address or in all. */
  begin(asked: Begin): Promise<{ deviceCode: string; userCode: string }>;
  /**
   * @throws McpctlError `device_code_expired` where none waits so, `too_many_requests` after five of those in a minute,
   * `forbidden` to whom their token keeps from making others.
   */
  look(typed: Typed): Promise<WaitingDevice>;
  /** Once; who denies ends it as well. @throws McpctlError as `look`, and `escalation`. */
  decide(typed: Typed & { approve: boolean }): Promise<WaitingDevice>;
  /**
   * Asked by the program, whose token is made with that, and shown this once.
   * @returns how long to wait, in seconds, where nobody has decided yet.
   * @throws McpctlError `slow_down`, `login_denied`, `device_code_expired`, and what making a token throws.
   */
  collect(
    deviceCode: string,
    origin: Origin,
  ): Promise<{ waitS: number } | { row: TokenRow; text: string; user: string }>;
  /** Deletes those that are over. @returns how many. */
  sweep(): Promise<number>;
}

const MOST_OF_ADDRESS = 20;
const MOST = 1_000;
const WRONG_A_MINUTE = 5;
/** Codes that are somebody's already, one after the other. */
const CODE_TRIES = 20;
/** Clocks and lines are not exact. */
const EARLY_S = 0.5;

const hashOf = (deviceCode: string): string =>
  createHash('sha256').update(`device ${deviceCode}`).digest('hex');

const isWaiting = 'approved_by is null and not denied and expires_at > now()';

function newUserCode(): string {
  for (;;) {
    const code = userCodeFrom(randomBytes(32));
    if (code !== undefined) return code;
  }
}

/** Of one user, whatever browser they sit at: whoever could begin new sessions could else try as many as they like. */
async function countTry(db: Knex, userId: string): Promise<void> {
  const { rows } = await db.raw<{ rows: { tries: number }[] }>(
    `insert into device_guesses as g (user_id, tries, since) values (:userId, 1, now())
       on conflict (user_id) do update set
         tries = case when g.since < now() - interval '1 minute' then 1 else least(g.tries + 1, 1000) end,
         since = case when g.since < now() - interval '1 minute' then now() else g.since end
       returning tries`,
    { userId },
  );
  if ((rows[0]?.tries ?? 0) <= WRONG_A_MINUTE) return;
  const message = `${WRONG_A_MINUTE} wrong codes in a minute: wait for one, and read the code again.`;
  throw new McpctlError('too_many_requests', message, { retryAfterS: 60 });
}

const expired = (): McpctlError =>
  new McpctlError(
    'device_code_expired',
    'Nobody waits with that code: it was mistyped, used already, or is older than ten minutes.',
  );

const noRoom = (): McpctlError =>
  new McpctlError('too_many_requests', 'Too many logins wait to be approved; try again in a while.', {
    retryAfterS: 60,
  });

/** @returns undefined where somebody waits with that code already. */
async function tryBegin(
  db: Knex,
  asked: Begin,
): Promise<{ deviceCode: string; userCode: string } | undefined> {
  const deviceCode = randomBytes(32).toString('base64url');
  const userCode = newUserCode();
  const preset = asked.pools === null ? asked.preset : WORKER;
  const pools = asked.pools === null ? null : [...asked.pools];
  const values = { ...asked, preset, pools, hash: hashOf(deviceCode), userCode, lifeMs: DEVICE.lifeMs };
  // Two that come at once may both find room: so many more there are at most as an edge has connections.
  const { rows } = await db.raw<{ rows: { isFull: boolean; made: boolean }[] }>(
    `with full_up as (
       select count(*) >= :most or count(*) filter (where address_key = :addressKey) >= :mostOfAddress as is_full
         from device_logins where expires_at > now()
     ), made as (
       insert into device_logins (hash, user_code, machine, address, address_key, preset, days, pools, interval_s, expires_at)
         select :hash, :userCode, :machine, :address, :addressKey, :preset, :days, :pools, :intervalS,
           now() + :lifeMs * interval '1 millisecond'
         from full_up where not is_full
       on conflict (user_code) do nothing returning hash
     ) select is_full as "isFull", exists (select 1 from made) as made from full_up`,
    { ...values, intervalS: DEVICE.intervalS, most: MOST, mostOfAddress: MOST_OF_ADDRESS },
  );
  if (rows[0]?.isFull !== false) throw noRoom();
  return rows[0].made ? { deviceCode, userCode } : undefined;
}

async function find(db: Knex, { userCode, actor }: Typed): Promise<Waiting> {
  checkMint(actor);
  await countTry(db, actor.userId);
  const row: unknown = await db('deviceLogins').where({ userCode }).whereRaw(isWaiting).first();
  if (row === undefined) throw expired();
  // What was right is no guess.
  await db('deviceGuesses').where({ userId: actor.userId }).where('tries', '>', 0).decrement('tries');
  return waitingSchema.parse(row);
}

const filterFor = (actor: Actor, preset: Waiting['preset']): FilterWords =>
  withinFilter(actor.filter, preset === WORKER ? workerFilter.preset : preset);

const shownTo = (actor: Actor, { machine, address, days, pools, preset }: Waiting): WaitingDevice => ({
  ...{ machine, address, days, pools },
  filter: filterFor(actor, preset),
});

async function decide(
  trx: Knex.Transaction,
  row: Waiting,
  { actor, approve, filter }: { actor: Actor; approve: boolean; filter: FilterWords },
): Promise<void> {
  if (approve) {
    needMayPublish(actor, row.pools ?? []);
    await needMayMint(trx, actor, { user: undefined, binding: undefined, filter });
  }
  const now = approve ? { approvedBy: actor.tokenId } : { denied: true };
  const decided = await trx('deviceLogins').where({ hash: row.hash }).whereRaw(isWaiting).update(now);
  if (decided === 0) throw expired();
  const what = { resource: 'device login', id: null, name: tokenNameOf(row.machine, row.hash) };
  await record(trx, actor, { verb: approve ? 'create' : 'delete', ...what, ownerId: actor.userId });
}

/** Made with the approver's token, as it is now. */
async function mintFor(
  tokens: Tokens,
  { hash, approvedBy, machine, preset, days, pools }: Approved,
  origin: Origin,
): Promise<{ row: TokenRow; text: string; user: string }> {
  const approving = await tokens.actorOfId(approvedBy);
  if (!approving)
    throw new McpctlError(
      'login_denied',
      'The token that it was approved with is good no more; begin again.',
    );
  const made = await tokens.mint({
    name: tokenNameOf(machine, hash),
    pools: pools ?? approving.pools,
    filter: filterFor(approving, preset),
    ofWorker: preset === WORKER,
    expiresInDays: preset === WORKER ? null : days,
    holder: { user: undefined, binding: undefined },
    createdBy: approving,
    author: { ...approving, origin },
    async also(trx) {
      if ((await trx('deviceLogins').where({ hash }).delete()) === 0)
        throw new McpctlError('device_code_expired');
    },
  });
  return { ...made, user: approving.userName };
}

export function createDeviceLogins({ db, transaction }: Connection, tokens: Tokens): DeviceLogins {
  const sweep = async (): Promise<number> =>
    await db('deviceLogins')
      .whereIn(
        'hash',
        db('deviceLogins')
          .whereRaw('expires_at <= now()')
          .limit(2 * MOST)
          .forUpdate()
          .skipLocked()
          .select('hash'),
      )
      .delete();
  return {
    async begin(asked) {
      await sweep();
      for (let tried = 0; tried < CODE_TRIES; tried += 1) {
        const begun = await tryBegin(db, asked);
        if (begun) return begun;
      }
      throw new McpctlError('unavailable'); // each code was somebody's: nobody has met that
    },
    look: async (typed) => shownTo(typed.actor, await find(db, typed)),
    async decide({ approve, ...typed }) {
      const row = await find(db, typed);
      const shown = shownTo(typed.actor, row);
      await transaction((trx) => decide(trx, row, { actor: typed.actor, approve, filter: shown.filter }));
      return shown;
    },
    async collect(deviceCode, origin) {
      const asked = await askedBy(db, hashOf(deviceCode));
      return 'waitS' in asked ? asked : await mintFor(tokens, asked, origin);
    },
    sweep,
  };
}

const askedSchema = waitingSchema.extend({
  approvedBy: z.string().nullable(),
  denied: z.boolean(),
  intervalS: z.number(),
  tooSoon: z.boolean(),
});

/** Writes down that it was asked: who asks too soon waits longer from then on. */
async function askedBy(db: Knex, hash: string): Promise<{ waitS: number } | Approved> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `update device_logins d set polled_at = now(),
         interval_s = least(d.interval_s + case when was.too_soon then cast(:step as int) else 0 end, cast(:most as int))
       from (select hash, coalesce(polled_at > now() - (interval_s - cast(:early as float8)) * interval '1 second', false) as too_soon
         from device_logins where hash = :hash and expires_at > now() for update) was
       where d.hash = was.hash
       returning d.hash, d.machine, d.address, d.preset, d.days, d.pools, d.denied, d.approved_by as "approvedBy",
         d.interval_s as "intervalS", was.too_soon as "tooSoon"`,
    { hash, step: DEVICE.intervalS, most: DEVICE.mostIntervalS, early: EARLY_S },
  );
  if (rows.length === 0) throw new McpctlError('device_code_expired');
  const { denied, tooSoon, intervalS, approvedBy, ...asked } = askedSchema.parse(rows[0]);
  if (denied) throw new McpctlError('login_denied');
  if (tooSoon) throw new McpctlError('slow_down', undefined, { retryAfterS: intervalS });
  return approvedBy === null ? { waitS: intervalS } : { ...asked, approvedBy };
}
