import type { Request, Response } from 'express';
import { z } from 'zod';
import { isErrorCode, McpctlError } from '../../../core/errors.ts';
import { cleaned } from '../../../core/mcp/clean.ts';
import type { Exchange, GateEvent } from '../../../core/mcp/traffic/exchange.ts';
import type { McpProject } from '../../../core/registry/mcp/servers.ts';
import type { Clock } from '../../../core/runtime/clock.ts';
import { actorOf } from '../../http/context.ts';
import type { Report } from '../../inference/answer/report.ts';
import type { Leg } from '../legs/leg.ts';
import { rpcErrors, type RpcMessage } from '../rpc.ts';
import type { Capture } from './capture.ts';

/** More of a briefing is counted. */
const MOST_CHOSEN = 10;
const MOST_WHY_CHARS = 120;
const MOST_NAME_CHARS = 64;
const MOST_NAMES = 32;
const MOST_ASKED_CHARS = 256;

const clientSchema = z.looseObject({ name: z.string(), version: z.string().optional() });
const CLIENT = 'io.modelcontextprotocol/clientInfo';
const MOST_CLIENT_CHARS = 48;

/** What a client calls itself, in one word and its version; null where that is nothing that can be shown. */
export function clientOf(info: unknown): string | null {
  const parsed = clientSchema.safeParse(info);
  if (!parsed.success) return null;
  const { name, version } = parsed.data;
  const text = `${name}${version === undefined ? '' : `/${version}`}`.replaceAll(/[^!-~]+/g, '-');
  return text === '' ? null : text.slice(0, MOST_CLIENT_CHARS);
}

const metaSchema = z.looseObject({ [CLIENT]: z.unknown() });
const askedSchema = z.looseObject({ name: z.string().optional(), uri: z.string().optional() });

/** What is asked for by a name, as it is shown. */
export const askedName = (name: string): string => brief(name, MOST_ASKED_CHARS);

const brief = (text: string, most: number): string => cleaned(text).slice(0, most).toWellFormed();

type Briefed = Omit<Extract<GateEvent, { kind: 'briefed' }>, 'kind' | 'more' | 'chosen' | 'dead'> & {
  chosen: readonly { name: string; why: string }[];
  dead: readonly string[];
};

interface Beginning {
  req: Request;
  res: Response;
  project: McpProject;
  message: RpcMessage;
}

/**
 * What comes of one request of a client, for who watches its project: filled while it is answered, and told once its connection has taken the
 * answer. Nothing of what is said in it is kept.
 */
export class ExchangeNotes {
  readonly #at: Beginning & { clock: Clock };
  readonly #bytesBefore: number;
  #era: Leg['era'] = 'legacy';
  #client: string | null = null;
  #server: Pick<Exchange, 'server' | 'tool'> = { server: null, tool: null };
  #report: Pick<Report, 'taskId' | 'row'> | null = null;
  #replayed = false;
  #outcome: string | null = null;
  #pipelineMs: number | null = null;
  readonly #stages = new Set<string>();
  readonly #gate: GateEvent[] = [];

  constructor(deps: { clock: Clock; capture: Capture }, beginning: Beginning) {
    this.#at = { ...beginning, clock: deps.clock };
    const { req, res, project } = beginning;
    this.#bytesBefore = req.socket.bytesWritten;
    const over = (): void => {
      const { row } = this.#report ?? { row: null };
      const timed = row && !this.#replayed ? row : null;
      deps.capture.tell({
        ...{ projectId: project.id, userId: actorOf(req).userId, row: timed },
        exchange: () => this.#whole(),
      });
    };
    if (res.destroyed) over();
    else res.once('close', over);
  }

  /** As it is known who speaks, and how. @param client what its session says of it. */
  speaks(era: Leg['era'], client: string | null): void {
    this.#era = era;
    const { method, params } = this.#at.message;
    const meta = metaSchema.safeParse(params?.['_meta']).data?.[CLIENT];
    this.#client = client ?? clientOf(method === 'initialize' ? params?.['clientInfo'] : meta);
  }

  /** A server is asked, as the task that the report tells of. */
  asks(server: string, tool: string | null, report: Pick<Report, 'taskId' | 'row'>): void {
    this.#server = { server, tool: tool === null ? null : askedName(tool) };
    this.#report = report;
  }

  /** It is an equal call once more. */
  replays(): void {
    this.#replayed = true;
  }

  /** What became of the answer, and how long that took. */
  piped(stages: Iterable<string>, ms: number): void {
    for (const stage of stages) this.#stages.add(stage);
    this.#pipelineMs = (this.#pipelineMs ?? 0) + ms;
  }

  /** What said first why it failed stays. */
  failed(why: string): void {
    this.#outcome ??= why;
  }

  briefed({ by, llm, chosen, listed, dead }: Briefed): void {
    const shown = chosen.slice(0, MOST_CHOSEN).map(({ name, why }) => ({
      name: brief(name, MOST_NAME_CHARS),
      why: brief(why, MOST_WHY_CHARS),
    }));
    const more = chosen.length - shown.length;
    const names = dead.slice(0, MOST_CHOSEN).map((name) => brief(name, MOST_NAME_CHARS));
    this.#gate.push({ kind: 'briefed', by, llm, chosen: shown, more, listed, dead: names });
  }

  gated(): void {
    this.#gate.push({ kind: 'gated' });
  }

  read(names: readonly string[]): void {
    const shown = names.slice(0, MOST_NAMES).map((name) => brief(name, MOST_NAME_CHARS));
    this.#gate.push({ kind: 'read', names: shown });
  }

  /** A leg that notices what its answers say went wrong. */
  over(leg: Leg): Leg {
    const failed = (why: string): void => this.failed(why);
    return {
      ...leg,
      result(id, result, of) {
        if (of === 'call' && 'isError' in result && result.isError === true) failed('tool_failed');
        return leg.result(id, result, of);
      },
      failure(id, failure) {
        failed(failure.code);
        return leg.failure(id, failure);
      },
      error(id, fault) {
        // What a server says of its error is no code of ours: it is part of what was said.
        const code = z.object({ code: z.string() }).safeParse(fault.data).data?.code;
        const own = code !== undefined && isErrorCode(code) ? code : undefined;
        failed(own ?? wordsOfRpc.get(fault.code) ?? String(fault.code));
        return leg.error(id, fault);
      },
    };
  }

  #whole(): Exchange {
    const { req, res, message, clock } = this.#at;
    const { method = '', params = {} } = message;
    const { userName, tokenName } = actorOf(req);
    const asked = askedSchema.safeParse(params).data;
    const name = asked?.name ?? asked?.uri;
    const { startedAt } = req.context;
    const total = clock.elapsed() - startedAt;
    const length = Number(res.getHeader('content-length') ?? NaN);
    const hasLeft = !res.writableFinished;
    return {
      at: new Date(clock.now() - total).toISOString(),
      ...{ user: userName, token: tokenName, client: this.#client, era: this.#era },
      method: askedName(method),
      name: name === undefined ? null : askedName(name),
      ...this.#server,
      taskId: this.#report?.taskId ?? null,
      replayed: this.#replayed,
      outcome: hasLeft ? 'left' : (this.#outcome ?? 'ok'),
      status: res.headersSent ? res.statusCode : null,
      bytes: {
        request: Buffer.byteLength(req.context.text ?? ''),
        answer: Number.isNaN(length) ? req.socket.bytesWritten - this.#bytesBefore : length,
      },
      ms: {
        ...{ total: tenths(total), queue: null, start: null, run: null },
        pipeline: this.#pipelineMs === null ? null : tenths(this.#pipelineMs),
      },
      stages: [...this.#stages],
      gate: this.#gate,
    };
  }
}

/** No clock here tells more. */
export const tenths = (ms: number): number => Math.round(ms * 10) / 10;

/** What JSON-RPC's own numbers say. */
const wordsOfRpc: ReadonlyMap<number, string> = new Map(
  Object.entries(rpcErrors).map(([word, code]) => [
    code,
    word.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  ]),
);

/** The code of what was thrown instead of an answer. */
export const codeOf = (thrown: unknown): string => (thrown instanceof McpctlError ? thrown.code : 'internal');
