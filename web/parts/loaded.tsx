import type { ComponentChildren } from 'preact';
import type { Load } from '../net/load.ts';
import { now, span } from './time.tsx';
import type { Fault as Refusal } from '../net/api.ts';
import { Copy } from './copy.tsx';
import { oldSince, storesAway } from '../net/live.ts';
const OLD_MS = 10_000;

/** What was loaded, or why not. Old values stay on screen, grey and with their age, when asking again fails or nothing is heard of what changes. */
export function Loaded<T>({ of, children }: { of: Load<T>; children: (data: T) => ComponentChildren }) {
  const data = of.data.value;
  const fault = of.fault.value;
  if (data === undefined) {
    if (fault?.status === 403) return <NotForToken why={fault.sentence} />;
    return fault ? <Fault fault={fault} again={of.again} /> : <p class="quiet">Loading …</p>;
  }
  // Until nothing was heard any more it was as it is.
  const age = now.value - Math.max(of.at.value, oldSince.value ?? 0);
  const isOld = fault !== null || storesAway.value !== null || (oldSince.value !== null && age > OLD_MS);
  return (
    <>
      {fault && <Fault fault={fault} again={of.again} />}
      {isOld && age >= 1_000 && <p class="quiet">Shown as it was {span(age)} ago.</p>}
      <div class={isOld ? 'old' : ''}>{children(data)}</div>
    </>
  );
}

/** Why there is nothing to see, and the next step as its children. */
export function Empty({ why, children }: { why: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p>{why}</p>
      {children}
    </div>
  );
}

/** What a token may not see at all, and which may. */
export function NotForToken({ why }: { why: string }) {
  return (
    <Empty why={why}>
      <p>
        One of the preset manage or full may, where its user may:{' '}
        <code>mcpctl token create NAME --preset manage</code>.{' '}
        <a href="/ui/access">What you may, and by what</a>
      </p>
    </Empty>
  );
}

/** A refusal as a person reads it: sentence, code, and the id that finds it in the log. */
export function Fault({ fault, again }: { fault: Refusal; again?: () => void }) {
  return (
    <div class="fault" role="alert">
      <p>{fault.sentence}</p>
      <p class="quiet">
        <code>{fault.code}</code>
        {fault.requestId !== '' && (
          <>
            {' '}
            · request <Copy text={fault.requestId} />
          </>
        )}{' '}
        {again && (
          <button type="button" onClick={again}>
            Try again
          </button>
        )}
      </p>
    </div>
  );
}
