import { createHash } from 'node:crypto';
import type { Actor } from '../../../core/access.ts';
import { messageOf } from '../../../core/errors.ts';
import {
  MOST_TITLED,
  QUESTION_REVISION,
  titleQuestion,
  titlesIn,
} from '../../../core/mcp/pipeline/titles.ts';
import { pause } from '../../../core/runtime/clock.ts';
import type { MeantName } from '../../../core/registry/names/meant.ts';
import type { EdgeDeps } from '../../deps.ts';
import { askLlm } from '../briefing/ask-llm.ts';

/** Who reads waits no longer for titles; what comes later is kept for the next. */
const WITHIN_MS = 2_500;
const LATEST_MS = 60_000;
/** At an edge at a time, by one user and all; whoever comes beyond them has plain titles. */
const MOST_ASKED_BY_ONE = 4;
const MOST_ASKED = 64;

/** What is asked of, and whose project it was read in. */
interface Untitled {
  llm: MeantName;
  ownerId: string;
  pages: readonly string[];
}

type Titles = readonly (string | null | undefined)[];

/**
 * What pages are called: as was found out before of the same text, else as the project's llm says within a moment, in one task of the
 * background. Whatever it does or says, a call waits no longer, and what it says is cleaned.
 */
export class PageTitles {
  readonly #deps: EdgeDeps;
  /** By the keys of what is asked: who asks for the same meanwhile waits for the same. */
  readonly #asked = new Map<string, { by: string; titles: Promise<ReadonlyMap<string, string>> }>();

  constructor(deps: EdgeDeps) {
    this.#deps = deps;
  }

  /** @returns a title, or none, for each page. Never rejects. */
  async of(actor: Actor, { llm, ownerId, pages }: Untitled): Promise<Titles> {
    const titled = pages.slice(0, MOST_TITLED);
    const keys = titled.map((page) => keyOf(page, { llm, ownerId }));
    const over = new AbortController();
    const late = pause(WITHIN_MS, over.signal).then(() => null);
    try {
      const work = this.#titles(actor, { llm, ownerId, pages: titled }, keys);
      work.catch(() => undefined);
      const titles = await Promise.race([work, late]);
      return keys.map((key) => titles?.get(key));
    } catch (thrown) {
      this.#deps.log.debug({ why: messageOf(thrown) }, 'pages have no titles');
      return [];
    } finally {
      over.abort();
    }
  }

  async #titles(
    actor: Actor,
    { llm, ownerId, pages }: Untitled,
    keys: readonly string[],
  ): Promise<ReadonlyMap<string, string>> {
    const kept = await this.#deps.registry.mcp.pageTitles(keys);
    const texts = new Map(pages.map((page, n) => [keys[n] ?? '', page]));
    const missing = [...texts].filter(([key]) => !kept.has(key)).map(([key, page]) => ({ key, page }));
    if (missing.length === 0) return kept;
    const name = missing.map(({ key }) => key).join();
    let asked = this.#asked.get(name)?.titles;
    if (!asked) {
      if (this.#isFull(actor.userId)) return kept;
      asked = this.#ask(actor, { llm, ownerId }, missing).finally(() => this.#asked.delete(name));
      asked.catch(() => undefined);
      this.#asked.set(name, { by: actor.userId, titles: asked });
    }
    return new Map([...kept, ...(await asked)]);
  }

  #isFull(userId: string): boolean {
    const its = [...this.#asked.values()].filter(({ by }) => by === userId);
    return its.length >= MOST_ASKED_BY_ONE || this.#asked.size >= MOST_ASKED;
  }

  async #ask(
    actor: Actor,
    { llm, ownerId }: Omit<Untitled, 'pages'>,
    missing: readonly { page: string; key: string }[],
  ): Promise<ReadonlyMap<string, string>> {
    const answer = await askLlm(this.#deps, actor, {
      llm,
      ...titleQuestion(missing.map(({ page }) => page)),
      withinMs: LATEST_MS,
      left: this.#deps.stopping,
      priority: 'background',
    });
    const titles = answer === null ? null : titlesIn(answer, missing.length);
    const made = new Map(
      missing.flatMap(({ key }, n): [string, string][] => {
        const title = titles?.[n];
        return title == null ? [] : [[key, title]];
      }),
    );
    await this.#deps.registry.mcp.keepPageTitles(ownerId, made);
    return made;
  }
}

const keyOf = (page: string, { llm, ownerId }: Omit<Untitled, 'pages'>): string =>
  createHash('sha256')
    .update(JSON.stringify([QUESTION_REVISION, ownerId, llm.name, page]))
    .digest('hex');
