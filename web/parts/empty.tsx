import type { ComponentChildren } from 'preact';

/** Why there is nothing to see, and the next step as its children. */
export function Empty({ why, children }: { why: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p>{why}</p>
      {children}
    </div>
  );
}
