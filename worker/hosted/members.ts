import { messageOf } from '../../core/errors.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import { wordsOf } from '../../core/task/error-reason.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import { Gate } from '../work/gate.ts';
import { asMember } from '../providers/adapt.ts';
import { withoutSecret } from '../providers/http/scrub.ts';
import type { Dialling } from '../providers/http/wire/exchange.ts';
import { endpointsAt, writtenAs } from '../providers/http/url.ts';
import { isProviderType, providerTypes } from '../providers/index.ts';
import type { MemberCall, Reply } from '../providers/provider.ts';
import { Slots } from '../../core/member/slots.ts';
import type { PublicLlm } from '../sources/registry.ts';
import type { ServedMember } from '../transports/transport.ts';
import { keyReader, type ReadKey } from './keys.ts';
import type { SecretKeys } from './secret-keys.ts';

export interface MembersDeps {
  /** Of this process: where `apiKeyRef.env` is looked up. */
  env: Readonly<Record<string, string | undefined>>;
  /** Of mcpctl itself, that are the key of no backend. */
  ownFiles: readonly string[];
  /** Variables and files that rows may name; none: any. */
  namedKeys: readonly string[];
  dialling: Dialling;
  /** How the key of an llm is read that refers to a secret. */
  secretKeys: (llm: PublicLlm) => SecretKeys;
  bus: Bus;
  clock: Clock;
  log: Log;
}

/** Silence of a backend that is put up with; as for a worker that says nothing else (`stallSeconds`). */
const STALL_MS = 120_000;

/** A public llm that this worker can serve, opened. A row that changes what is opened is opened anew. */
interface Opened {
  llm: PublicLlm;
  served: ServedMember;
  /** Whether there is a key, so that it can be served. */
  check: ReadKey;
}

/**
 * The public llms as members: each opened once, until its row changes. What cannot be served (no key, an unknown
 * type) is left out, and said once, until it can.
 */
export class HostedMembers {
  readonly #deps: MembersDeps;
  #opened = new Map<string, Opened>();
  #slots = new Map<string, Slots>();
  /** What was said of rows that are not served, by llm id. */
  #problems = new Map<string, string>();

  constructor(deps: MembersDeps) {
    this.#deps = deps;
  }

  /**
   * @returns all that can be served now, and those of them that are as they were the last time; undefined when
   *   nothing has changed since.
   */
  async update(
    llms: readonly PublicLlm[],
  ): Promise<{ all: ServedMember[]; kept: ServedMember[] } | undefined> {
    this.#shareSlots(llms.filter(({ url }) => URL.canParse(url)));
    const before = this.#opened;
    const now = new Map<string, Opened>();
    for (const llm of llms) {
      const place = placeOf(llm);
      const openedBefore = before.get(place);
      const opened = openedBefore && isSame(openedBefore.llm, llm) ? openedBefore : this.#open(llm);
      const problem = typeof opened === 'string' ? opened : await problemOf(opened.check);
      this.#say(llm, problem);
      if (problem === undefined && typeof opened !== 'string') now.set(place, opened);
      else if (typeof opened !== 'string' && opened !== openedBefore) opened.served.gate.end();
    }
    for (const id of this.#problems.keys()) if (!llms.some((llm) => llm.id === id)) this.#problems.delete(id);
    const gone = [...before].filter(([place, opened]) => now.get(place) !== opened);
    for (const [, { served }] of gone) served.gate.end();
    this.#opened = now;
    const kept = [...now].filter(([place, opened]) => before.get(place) === opened);
    if (gone.length === 0 && kept.length === now.size) return undefined;
    return {
      all: [...now.values()].map(({ served }) => served),
      kept: kept.map(([, { served }]) => served),
    };
  }

  /** The pools of what is served now. */
  pools(): string[] {
    return [...new Set([...this.#opened.values()].map(({ llm }) => llm.poolKey))];
  }

  end(): void {
    for (const { served } of this.#opened.values()) served.gate.end();
  }

  /** Llms of one URL share the slots of that backend, as many as the most generous row says. */
  #shareSlots(llms: readonly PublicLlm[]): void {
    const sizes = new Map<string, number>();
    for (const llm of llms) {
      const size = llm.maxConcurrency ?? usualConcurrency(llm.type);
      sizes.set(backendOf(llm), Math.max(size, sizes.get(backendOf(llm)) ?? 0));
    }
    const shared = new Map<string, Slots>();
    for (const [backend, size] of sizes) {
      const slots = this.#slots.get(backend) ?? new Slots(size);
      if (slots.size !== size) slots.resize(size);
      shared.set(backend, slots);
    }
    this.#slots = shared;
  }

  /** @returns why not, when it cannot be opened. */
  #open(llm: PublicLlm): Opened | string {
    const { type, name, url, model, apiKeyRef, id: llmId, poolKey } = llm;
    // Ours are checked as they are written; who else writes into the table is nobody's fault here.
    if (!URL.canParse(url)) return 'Its url is none; give it another with "mcpctl api PATCH".';
    const slots = this.#slots.get(backendOf(llm));
    if (!isProviderType(type) || !slots) {
      return `Its type '${type}' is none that a hosted worker serves; use one of ${Object.keys(providerTypes).join(', ')}.`;
    }
    const { env, ownFiles, namedKeys: named, dialling, secretKeys } = this.#deps;
    const besides = { ownFiles, named };
    const readKey = keyReader(apiKeyRef, env, { ofSecret: () => secretKeys(llm).read(), ...besides });
    const check = keyReader(apiKeyRef, env, { ofSecret: () => secretKeys(llm).check(), ...besides });
    let key: string | undefined;
    const provider = providerTypes[type].create({
      name,
      url,
      model,
      dialling,
      readKey: async () => (key = await readKey()),
    });
    const forward = asMember(provider);
    const isAvailable = (signal: AbortSignal): Promise<boolean> => provider.isAvailable(signal);
    const gate = new Gate({ ...this.#deps, llm: name, isAvailable });
    const answer = (call: MemberCall) => this.#guarded(forward(call), { name, key: () => key });
    const member = { llmId, name, poolKey, model, stallMs: STALL_MS, forward: answer, isAvailable };
    return { llm, check, served: { member, slots, gate } };
  }

  /** A refusal of the backend may quote the key, and one of ours is for another member to try. */
  async *#guarded(
    replies: AsyncIterable<Reply>,
    { name, key }: { name: string; key: () => string | undefined },
  ): AsyncGenerator<Reply, void, undefined> {
    for await (const reply of replies) {
      if (reply.kind !== 'failed') {
        yield reply;
        continue;
      }
      if (reply.code === 'address_refused') this.#deps.log.warn({ llm: name }, reply.message);
      const { message, body, reason } = reply;
      const clean = (text: string): string => without(text, key());
      yield {
        ...reply,
        message: clean(message),
        ...(body === undefined ? {} : { body: clean(body) }),
        ...(reason === undefined ? {} : { reason: wordsOf(reason, clean) }),
        retryable: reply.retryable || reply.code === 'address_refused',
      };
    }
  }

  #say({ id, name }: PublicLlm, problem: string | undefined): void {
    const lastSentence = this.#problems.get(id);
    if (problem === lastSentence) return;
    if (problem === undefined) {
      this.#problems.delete(id);
      this.#deps.log.info({ llm: name }, 'a public llm can be served now');
    } else {
      this.#problems.set(id, problem);
      this.#deps.bus.emit('loop.left', { loop: 'hosted-rows', left: 0, failed: 1, ended: 0 });
      this.#deps.log.warn({ llm: name, why: problem }, 'a public llm is not served');
    }
  }
}

function backendOf({ type, url }: PublicLlm): string {
  return `${type} ${endpointsAt(url, writtenAs(type)).models.href}`;
}

/** One that has left a pool and still takes what waits there is a member of both. */
const placeOf = ({ id, poolKey }: PublicLlm): string => `${id} ${poolKey}`;

function usualConcurrency(type: string): number {
  return isProviderType(type) ? providerTypes[type].maxConcurrency : 1;
}

/** Everything that is opened into a member; the rest of a row may change under it. */
function isSame(a: PublicLlm, b: PublicLlm): boolean {
  const facts = ({ type, url, model, poolKey, apiKeyRef }: PublicLlm): string =>
    JSON.stringify([type, url, model, poolKey, apiKeyRef]);
  return facts(a) === facts(b);
}

async function problemOf(check: ReadKey): Promise<string | undefined> {
  try {
    await check();
    return undefined;
  } catch (thrown) {
    return messageOf(thrown);
  }
}

function without(text: string, key: string | undefined): string {
  return key === undefined ? text : withoutSecret(text, key);
}
