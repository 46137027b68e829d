import { computed, signal } from '@preact/signals';
import { followScrolling, keepScrolled, restoreScrolled } from './scrolled.ts';

const BASE = '/ui';
const here = (): string => location.pathname.slice(BASE.length) + location.search;

/** Path and query below `/ui`, as `/tasks?status=error`. */
const address = signal(here());
export const path = computed(() => address.value.split('?')[0] ?? '/');
export const query = computed(() => new URLSearchParams(address.value.split('?')[1] ?? ''));

/** As people read it; what cannot be decoded stays as it is. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // somebody cut it off; the server says that there is no such thing
  }
}

/** What the second part of the path names: as it stands there, which a call takes, and for people. */
export const named = computed(() => {
  const raw = path.value.split('/')[2] ?? '';
  return { raw, name: decoded(raw) };
});

/** @param to below `/ui`. @param how `replace` leaves no way back, for what is typed into a filter. */
export function go(to: string, how: 'push' | 'replace' = 'push'): void {
  const before = path.value;
  if (how === 'push') keepScrolled();
  if (how === 'push') history.pushState(null, '', BASE + to);
  else history.replaceState(null, '', BASE + to);
  address.value = here();
  if (path.value !== before) scrollTo(0, 0);
}

/** The query with some values changed; an empty one is left out. */
export function withQuery(changes: Record<string, string>): string {
  const next = new URLSearchParams(query.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value === '') next.delete(name);
    else next.set(name, value);
  }
  const text = next.toString();
  return path.value + (text === '' ? '' : `?${text}`);
}

/** Links within the page load nothing anew; those with a modifier, or to elsewhere, are the browser's. */
export function followAddresses(): void {
  addEventListener('popstate', () => {
    address.value = here();
    restoreScrolled();
  });
  followScrolling();
  document.addEventListener('click', (event) => {
    const { target, button, metaKey, ctrlKey, shiftKey, altKey } = event;
    if (event.defaultPrevented || button !== 0 || metaKey || ctrlKey || shiftKey || altKey) return;
    const link = target instanceof Element ? target.closest('a') : null;
    const href = link?.getAttribute('href') ?? '';
    if (!link || link.target !== '' || !href.startsWith(`${BASE}/`) || link.hasAttribute('data-whole'))
      return;
    event.preventDefault();
    go(href.slice(BASE.length));
  });
}
