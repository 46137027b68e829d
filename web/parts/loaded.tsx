import type { ComponentChildren } from 'preact';
import type { Load } from '../net/load.ts';
import { now } from '../state/now.ts';
import { Fault } from './fault.tsx';

const OLD_MS = 10_000;

/** What was loaded, or why not. Old values stay on screen, grey and with their age, when asking again fails. */
export function Loaded<T>({ of, children }: { of: Load<T>; children: (data: T) => ComponentChildren }) {
  const data = of.data.value;
  const fault = of.fault.value;
  if (data === undefined)
    return fault ? <Fault fault={fault} again={of.again} /> : <p class="quiet">Loading …</p>;
  const age = now.value - of.at.value;
  if (!fault) return <>{children(data)}</>;
  return (
    <>
      <Fault fault={fault} again={of.again} />
      {age > OLD_MS && <p class="quiet">Shown as it was {Math.round(age / 1_000)} s ago.</p>}
      <div class="old">{children(data)}</div>
    </>
  );
}
