import type { Request, Response } from 'express';
import { McpctlError } from '../../core/errors.ts';
import { pause, type Clock } from '../../core/runtime/clock.ts';
import type { Settings } from '../../core/runtime/settings/settings.ts';
import { untilClosed } from './caps.ts';
import { addressKey } from '../connections/address.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { RateLimit, type Turn } from './rate-limit.ts';

/** How fast requests may follow each other: of a user, and, where nobody knows who asks, of an address. */
export interface Rates {
  /**
   * Takes the time of a request of this user's. What runs an llm, or answers for one, has a rate of its own, unless most of
   * the user's last calls came to nothing: then it is a request like others. Who is alone here is held to none.
   * @returns undefined when it may go on at once, which is nearly always; else it waits.
   * @throws McpctlError `too_many_requests` when it would have to wait for long.
   */
  ofUser(userId: string, req: Request, res: Response): Promise<void> | undefined;
  /** The same for a request whose sender is not known; once for each request. */
  ofStranger(req: Request, res: Response): Promise<void> | undefined;
}

interface RatesDeps {
  config: Settings<'maxUserCallRate' | 'maxUserRequestRate' | 'maxAddressRequestRate'>;
  clock: Clock;
  metrics: Pick<Metrics, 'refused' | 'slowed'>;
}

/** A user's crowd waits rather than fails: 500 requests that are sent together, at the usual rate. */
const USER_WAIT_MS = 5_000;
const STRANGER_WAIT_MS = 1_000;

/** Nobody gives up so soon: who leaves a call before it has said anything, and within this, did not wait for its answer. */
const SOON_LEFT_MS = 1_000;

type RateCap = 'user_rate' | 'address_rate';

/** Calls that run an llm or make a task, and what workers say of one. */
const work =
  /^\/(?:v1\/|api\/(?!v1(?:[/?]|$))|api\/v1\/(?:tasks(?:[/?]|$)|llms\/(?:_provider-task\/|[^/?]+\/infer(?:[/?]|$))))/i;
/** What a worker says of a task; a large request it reads by itself. */
const ofWorker = /^\/api\/v1\/llms\/_provider-task\//i;

const isWork = ({ method, originalUrl }: Request): boolean =>
  method === 'POST' ? work.test(originalUrl) : method === 'GET' && ofWorker.test(originalUrl);

export function createRates({ config, clock, metrics }: RatesDeps): Rates {
  const { maxUserCallRate, maxUserRequestRate, maxAddressRequestRate } = config;
  const requestMs = 1_000 / maxUserRequestRate;
  const callMs = 1_000 / maxUserCallRate;
  const strangerMs = 1_000 / maxAddressRequestRate;
  const ofUsers = new RateLimit(clock, USER_WAIT_MS);
  const ofAddresses = new RateLimit(clock, STRANGER_WAIT_MS);
  const counted = new WeakSet<Request>();

  const wait = async (cap: RateCap, turn: Turn, { res, message }: { res: Response; message: string }) => {
    metrics.slowed(cap);
    const left = new AbortController();
    untilClosed(res, () => left.abort());
    await pause(turn.waitMs, left.signal);
    if (turn.retryAfterS === undefined) return;
    metrics.refused(cap);
    throw new McpctlError('too_many_requests', message, { retryAfterS: turn.retryAfterS });
  };

  /** A call that was refused came to nothing, and so did one that its caller left at once. */
  const tellOfEnd = (account: ReturnType<RateLimit['of']>, req: Request, res: Response): void => {
    const began = clock.elapsed();
    const isLeft = (): boolean => !res.headersSent && clock.elapsed() - began < SOON_LEFT_MS;
    res.once('close', () =>
      account.ended(res.statusCode >= 400 || (isLeft() && !ofWorker.test(req.originalUrl))),
    );
  };

  return {
    ofUser(userId, req, res) {
      const account = ofUsers.of(userId);
      const isCall = isWork(req);
      const turn = account.take(isCall && !account.isVain ? callMs : requestMs, ofUsers.isAlone);
      if (isCall) tellOfEnd(account, req, res);
      if (turn.waitMs === 0) return undefined;
      const message = `You ask faster than one user may here: ${maxUserRequestRate} requests a second (MCPCTL_MAX_USER_REQUEST_RATE), calls that an llm answers ${maxUserCallRate} (MCPCTL_MAX_USER_CALL_RATE). Send fewer at a time; ask for lists rather than single tasks, or wait for a task with ?wait=30.`;
      return wait('user_rate', turn, { res, message });
    },
    ofStranger(req, res) {
      if (counted.has(req)) return undefined;
      counted.add(req);
      const turn = ofAddresses.of(addressKey(req.ip)).take(strangerMs);
      if (turn.waitMs === 0) return undefined;
      const message = `From your address come more than ${maxAddressRequestRate} requests a second without a token that is known (MCPCTL_MAX_ADDRESS_REQUEST_RATE). Send a token, or fewer requests.`;
      return wait('address_rate', turn, { res, message });
    },
  };
}
