import { signal } from '@preact/signals';
import type { CatalogueEntry } from '../../core/resources/catalogue.ts';
import { call, type Page } from '../net/api.ts';

/** What kinds of things there are, as the server tells: screens of them are made from it. */
export const catalogue = signal<readonly CatalogueEntry[]>([]);

export async function readCatalogue(): Promise<void> {
  try {
    catalogue.value = (await call<Page<CatalogueEntry>>('GET', '/resources')).items;
  } catch {
    catalogue.value = []; // the screens that need none are there all the same
  }
}

/** Those with screens of their own. */
const own: ReadonlySet<string> = new Set(['llms', 'pools', 'tasks', 'sessions', 'audit']);

export const listedKinds = (): readonly CatalogueEntry[] =>
  catalogue.value.filter(({ plural, calls }) => calls.includes('list') && !own.has(plural));

/** As a title begins. */
export const titled = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);

/** What a screen of all of a kind is called. */
export const titleOf = ({ plural }: CatalogueEntry): string => titled(plural === 'rbac' ? 'rights' : plural);
