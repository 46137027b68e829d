import { signal } from '@preact/signals';

/** By this browser's clock, in milliseconds; moves once a second while somebody may look. */
export const now = signal(new Date().getTime());

setInterval(() => {
  if (!document.hidden) now.value = new Date().getTime();
}, 1_000);
document.addEventListener('visibilitychange', () => (now.value = new Date().getTime()));
