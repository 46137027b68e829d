import type { ListedPrompt } from '../../../core/mcp/briefing/choose.ts';
import type { McpProject } from '../../../core/registry/mcp/servers.ts';
import type { EdgeDeps } from '../../deps.ts';
import { Kept, roomForTexts } from '../kept.ts';

type Deps = Pick<EdgeDeps, 'registry' | 'clock'>;
type OfProject = Pick<McpProject, 'id' | 'ownerId' | 'promptsRevision'>;

interface Read {
  revision: string;
  prompts: readonly ListedPrompt[];
  /** Of those that were told, by their ids. */
  texts: ReadonlyMap<string, string>;
}

/** What a prompt takes besides its text: itself, and each word of its line and tags by itself. */
const PROMPT_SIZE = 1_000;
const OF_WORDS = 8;
/** Of one project, in UTF-16 code units; beyond it those that are told next are kept. */
const MOST_TEXTS = 1_048_576;
const lengthOf = (texts: Read['texts']): number =>
  [...texts.values()].reduce((sum, text) => sum + text.length, 0);
const sizeOf = ({ prompts, texts }: Read): number =>
  prompts.reduce((sum, { name, summary, tags }) => {
    const words = name.length + summary.length + tags.join().length;
    return sum + PROMPT_SIZE + OF_WORDS * words;
  }, lengthOf(texts));

/**
 * Prompts of projects, and the texts of those that are told, as they were read last. A project says which revision of its prompts there is: what was
 * read of another one is read anew.
 */
export class KeptPrompts {
  readonly #registry: Deps['registry'];
  readonly #kept: Kept<Read>;

  constructor({ registry, clock }: Deps) {
    this.#registry = registry;
    this.#kept = new Kept(clock, roomForTexts);
  }

  /** Undefined: they are to be read. */
  keptOf(project: OfProject): readonly ListedPrompt[] | undefined {
    return this.#read(project)?.prompts;
  }

  async read(project: OfProject): Promise<readonly ListedPrompt[]> {
    const { revision, prompts } = await this.#registry.mcp.prompts(project.id);
    // What has no gate says no revision, and what has changed meanwhile another one.
    if (revision === project.promptsRevision) this.#keep(project, { revision, prompts, texts: new Map() });
    return prompts;
  }

  /** The texts of some, by their ids, as they are or as they were at the project's revision. */
  async texts(project: OfProject, prompts: readonly ListedPrompt[]): Promise<ReadonlyMap<string, string>> {
    const before = this.#read(project)?.texts;
    const missing = prompts.filter(({ id }) => before?.has(id) !== true);
    if (before && missing.length === 0) return before;
    const read = await this.#registry.mcp.promptTexts(missing.map(({ id }) => id));
    const texts = new Map(read.map(({ id, content }) => [id, content]));
    const now = this.#read(project);
    if (now) {
      const revisions = new Map(missing.map(({ id, revision }) => [id, revision]));
      const lasting = read.filter(({ id, revision }) => revisions.get(id) === revision);
      const lastingTexts = lasting.map(({ id, content }): [string, string] => [id, content]);
      const all = new Map([...now.texts, ...lastingTexts]);
      this.#keep(project, { ...now, texts: lengthOf(all) > MOST_TEXTS ? new Map(lastingTexts) : all });
    }
    return new Map([...(before ?? []), ...texts]);
  }

  #read({ id, promptsRevision }: OfProject): Read | undefined {
    const kept = this.#kept.get(id);
    return kept?.revision === promptsRevision ? kept : undefined;
  }

  #keep({ id, ownerId }: OfProject, read: Read): void {
    this.#kept.keep(id, { userId: ownerId, value: read, size: sizeOf(read) });
  }
}
