import { catalogueEntry, type CatalogueEntry } from '../../../core/resources/catalogue.ts';
import { resources as definitions } from '../../../core/resources/index.ts';
import { hinted } from '../../hint.ts';
import type { Keyed } from '../../keyed.ts';
import type { Client } from '../../net/client.ts';
import { columnsOf } from '../../resources/shown.ts';
import type { Instant } from '../../say/columns.ts';
import { listingOf, type Listing } from '../../say/print.ts';

const contents = ['project', 'agent', 'prompt', 'personality'] as const;
type Content = (typeof contents)[number];

const entries: Readonly<Record<Content, CatalogueEntry>> = {
  project: catalogueEntry(definitions.project),
  agent: catalogueEntry(definitions.agent),
  prompt: catalogueEntry(definitions.prompt),
  personality: catalogueEntry(definitions.personality),
};

const nameOf = ({ raw }: Keyed): string => String(raw['name']);

/** Projects with their prompts and agents, and what those have. Servers and llms are others' too, and stay where they are. */
export async function contentsOf(
  client: Client,
  names: readonly string[],
  instant: Instant,
): Promise<Listing[]> {
  const { resources } = client;
  const all = new Map<Content, Keyed[]>(contents.map((word) => [word, []]));
  const add = (word: Content, items: readonly Keyed[]): void => {
    const there = new Set(all.get(word)?.map(({ key }) => key));
    all.get(word)?.push(...items.filter(({ key }) => !there.has(key)));
  };
  for (const name of names) {
    add('project', [
      await hinted(client, { type: 'project', name }, () => resources.get(entries.project, name)),
    ]);
    const agents = await resources.list(entries.agent, { project: name });
    add('agent', agents);
    add('prompt', await resources.list(entries.prompt, { project: name }));
    for (const agent of agents) {
      add('prompt', await resources.list(entries.prompt, { agent: nameOf(agent) }));
      add('personality', await resources.list(entries.personality, { agent: nameOf(agent) }));
    }
  }
  return contents
    .map((word) => listingOf(word, all.get(word) ?? [], columnsOf(entries[word], instant)))
    .filter(({ items }) => items.length > 0);
}
