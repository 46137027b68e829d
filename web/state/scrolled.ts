/** Where somebody had scrolled to: of the page, and of the long list in it. It stands with the entry of the tab's history. */
interface Scrolled {
  page: number;
  list: number;
}

const STILL_MS = 200;
/** A list that was read far down comes back piece by piece. */
const COMES_WITHIN_MS = 10_000;

const list = (): Element | null => document.querySelector('main .windowed');

let timer: ReturnType<typeof setTimeout> | undefined;
let frame = 0;

const giveUp = (): void => {
  cancelAnimationFrame(frame);
  frame = 0;
};

/** Writes it down for the entry that is shown, unless that is still on its way there. */
function note(): void {
  clearTimeout(timer);
  if (frame !== 0) return;
  const scrolled: Scrolled = { page: scrollY, list: list()?.scrollTop ?? 0 };
  history.replaceState({ ...(history.state as object | null), scrolled }, '');
}

/** For the entry that is left. */
export function keepScrolled(): void {
  note();
  giveUp();
}

/** Goes to where the entry says, as soon as there is so much; whoever scrolls or types themselves is left alone. */
export function restoreScrolled(): void {
  clearTimeout(timer);
  giveUp();
  const { scrolled } = (history.state ?? {}) as { scrolled?: Scrolled };
  if (!scrolled || (scrolled.page === 0 && scrolled.list === 0)) return scrollTo(0, 0);
  const until = performance.now() + COMES_WITHIN_MS;
  const step = (): void => {
    const box = list();
    if (box) box.scrollTop = scrolled.list;
    scrollTo(0, scrolled.page);
    const isThere =
      Math.abs(scrollY - scrolled.page) < 2 && Math.abs((box?.scrollTop ?? 0) - scrolled.list) < 2;
    frame = isThere || performance.now() > until ? 0 : requestAnimationFrame(step);
  };
  frame = requestAnimationFrame(step);
}

/** From now on; the browser's own way knows nothing of what comes later. */
export function followScrolling(): void {
  history.scrollRestoration = 'manual';
  restoreScrolled();
  const soon = (): void => {
    clearTimeout(timer);
    timer = setTimeout(note, STILL_MS);
  };
  document.addEventListener('scroll', soon, { capture: true, passive: true });
  for (const own of ['wheel', 'touchstart', 'pointerdown', 'keydown'])
    addEventListener(own, giveUp, { passive: true });
}
