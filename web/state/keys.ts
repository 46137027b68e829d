import { signal } from '@preact/signals';
import { isPaused } from '../net/live.ts';
import { go } from './router.ts';

/** `g` and one of these leads to a screen. */
const places: Readonly<Record<string, string>> = {
  o: '/',
  p: '/pools',
  l: '/llms',
  t: '/tasks',
  a: '/playground',
  u: '/usage',
};
const PAUSE_MS = 1_500;

/** Whether the keys are told of just now. */
export const areKeysTold = signal(false);

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

const find = (selector: string): HTMLElement | null => document.querySelector<HTMLElement>(selector);

/** Moves along the first links of rows, from the one that has the focus or is open beside them; what is open beside them moves along. */
function move(by: 1 | -1): void {
  const links = [...document.querySelectorAll<HTMLElement>('main tbody th a')].filter(
    (link) => !link.closest('.peek'),
  );
  const focused = links.findIndex((link) => link === document.activeElement);
  const at = focused < 0 ? links.findIndex((link) => link.closest('.selected')) : focused;
  const next = links[at < 0 ? 0 : Math.max(0, Math.min(links.length - 1, at + by))];
  next?.focus();
  if (find('main .peek')) next?.click();
}

const does: Readonly<Record<string, () => void>> = {
  j: () => move(1),
  k: () => move(-1),
  n: () => find('main .new button')?.click(),
  '/': () => find('main [data-filter]')?.focus(),
  '.': () => (isPaused.value = !isPaused.value),
  '?': () => (areKeysTold.value = true),
  Escape: () => find('main .peek [data-close]')?.click(),
};

/** As docs/web.md tells them. Never in a field, with a modifier, in a dialog or while a word is being composed. */
export function keys(): () => void {
  let wasG = -Infinity;
  const press = (event: KeyboardEvent): void => {
    const { key, ctrlKey, metaKey, altKey, isComposing, target } = event;
    if (ctrlKey || metaKey || altKey || isComposing || isTyping(target)) return;
    if (document.querySelector('dialog[open]')) return;
    const place = performance.now() - wasG < PAUSE_MS ? places[key] : undefined;
    wasG = key === 'g' ? performance.now() : -Infinity;
    const act = place === undefined ? does[key] : () => go(place);
    if (!act) return;
    event.preventDefault();
    act();
  };
  addEventListener('keydown', press);
  return () => removeEventListener('keydown', press);
}
