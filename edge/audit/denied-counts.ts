import type { Request } from 'express';
import type { Happened } from '../../core/audit/event.ts';
import { messageOf, type ErrorCode, type McpctlError } from '../../core/errors.ts';
import type { Denied } from '../../core/registry/audit/denied.ts';
import type { Registry } from '../../core/registry/registry.ts';
import { resources } from '../../core/resources/index.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';
import { isOllamaDoor, isOpenAiDoor } from '../http/context.ts';

/** A refusal is in the audit within ten seconds. */
const EVERY_MS = 5_000;
/** Kinds that are told apart between two writings: of one user, of strangers together, and in all. */
const MOST_OF_USER = 20;
const MOST_OF_STRANGERS = 10;
const MOST = 500;

const codes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'unauthenticated',
  'forbidden',
  'escalation',
  'last_admin',
  'name_retired',
]);

export interface DeniedCounts extends Service {
  /** What is no refusal of a right is passed over. */
  count(req: Request, error: McpctlError): void;
}

const verbs: Readonly<Record<string, Happened['verb']>> = {
  POST: 'create',
  PUT: 'edit',
  PATCH: 'edit',
  DELETE: 'delete',
};

/** By the route, which is one of few; nothing of it is the caller's spelling. */
function askedOf(req: Request): { verb: string; resource: string } {
  if (req.context.write) return req.context.write;
  if (isOpenAiDoor(req) || isOllamaDoor(req)) return { verb: 'run', resource: 'llm' };
  if (/^\/mcp([/?]|$)/i.test(req.originalUrl)) return { verb: 'run', resource: 'project' };
  const [, part = ''] = /^\/api\/v1\/([a-z]+)/i.exec(req.originalUrl) ?? [];
  const all = Object.values<{ word: string; plural?: string }>(resources);
  const resource = all.find(({ word, plural = `${word}s` }) => plural === part)?.word ?? '-';
  return { verb: verbs[req.method] ?? 'view', resource };
}

function refusedTo(req: Request, outcome: ErrorCode): Denied {
  const { actor } = req.context;
  const asked = { ...askedOf(req), outcome, count: 1 };
  if (!actor) return { ...asked, ip: req.ip ?? null, requestId: null };
  const { tokenId, tokenName, origin = { ip: null, requestId: null } } = actor;
  const { userId, userName } = actor.by ?? actor;
  return { ...asked, ...origin, userId, userName, tokenId, tokenName };
}

const whoOf = ({ userId = '' }: Denied): string => userId;

/**
 * Refusals are counted here and written down a few times a minute, equal ones as one row: whoever is refused ten thousand
 * times a minute costs others nothing, and fills no table. Beyond so many kinds there is one more, that says `*`. Where
 * Postgres is away they are kept for the next turn; a process that is killed loses what it counted last.
 */
export function createDeniedCounts({
  registry,
  log,
}: {
  registry: { audits: Pick<Registry['audits'], 'denied'> };
  log: Log;
}): DeniedCounts {
  let kinds = new Map<string, Denied>();
  let ofWho = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> | undefined;

  const add = (denied: Denied): void => {
    const { ip, verb, resource, outcome, count, tokenId } = denied;
    const who = whoOf(denied);
    const key = JSON.stringify([who, tokenId, ip, verb, resource, outcome]);
    const counted = kinds.get(key);
    if (counted) return void kinds.set(key, { ...counted, count: counted.count + count });
    const isCrowd = (ofWho.get(who) ?? 0) >= (who === '' ? MOST_OF_STRANGERS : MOST_OF_USER);
    if (resource !== '*' && (isCrowd || kinds.size >= MOST))
      return add(inGeneral(denied, kinds.size >= MOST));
    ofWho.set(who, (ofWho.get(who) ?? 0) + 1);
    kinds.set(key, denied);
  };

  const write = async (): Promise<void> => {
    const counted = [...kinds.values()];
    kinds = new Map();
    ofWho = new Map();
    try {
      await registry.audits.denied(counted);
    } catch (thrown) {
      log.warn({ why: messageOf(thrown) }, 'refusals could not be written to the audit; trying again');
      counted.forEach(add);
    }
  };
  const writeSoon = (): Promise<void> => {
    writing ??= write().finally(() => (writing = undefined));
    return writing;
  };

  return {
    name: 'denied',
    count(req, error) {
      const { actor } = req.context;
      if (codes.has(error.code) || (!actor && error.code === 'too_many_requests'))
        add(refusedTo(req, error.code));
    },
    start: () => void (timer = setInterval(() => void writeSoon(), EVERY_MS)),
    async stop() {
      clearInterval(timer);
      await writing;
      await writeSoon();
    },
  };
}

/** @param nobodys also who it was is left out: there are too many of them. */
function inGeneral(denied: Denied, nobodys: boolean): Denied {
  const { outcome, count } = denied;
  const what = { ip: null, requestId: null, verb: '*', resource: '*', outcome, count };
  return nobodys ? what : { ...denied, ...what };
}
