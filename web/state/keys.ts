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

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** Moves along the first links of rows. */
function move(by: 1 | -1): void {
  const links = [...document.querySelectorAll<HTMLElement>('main tbody th a')];
  const at = links.findIndex((link) => link === document.activeElement);
  links[at < 0 ? 0 : Math.max(0, Math.min(links.length - 1, at + by))]?.focus();
}

/**
 * `j` `k` between rows, `/` to the filter, `n` shows new rows, `g t` leads to a screen. Never in a field, with a modifier, in a dialog or while a word is
 * being composed.
 */
export function keys(): () => void {
  let wasG = -Infinity;
  const press = (event: KeyboardEvent): void => {
    const { key, ctrlKey, metaKey, altKey, isComposing, target } = event;
    if (ctrlKey || metaKey || altKey || isComposing || isTyping(target)) return;
    if (document.querySelector('dialog[open]')) return;
    const place = performance.now() - wasG < PAUSE_MS ? places[key] : undefined;
    wasG = key === 'g' ? performance.now() : -Infinity;
    if (place !== undefined) go(place);
    else if (key === 'j') move(1);
    else if (key === 'k') move(-1);
    else if (key === 'n') document.querySelector<HTMLElement>('main .new button')?.click();
    else if (key === '/') document.querySelector<HTMLElement>('main [data-filter]')?.focus();
    else return;
    event.preventDefault();
  };
  addEventListener('keydown', press);
  return () => removeEventListener('keydown', press);
}
