import type { ComponentProps } from 'preact';
import { storesAway } from '../net/live.ts';

/** A button that changes something: not while the server cannot write. */
export function Write({ disabled, title, ...rest }: ComponentProps<'button'>) {
  const isAway = storesAway.value !== null;
  return (
    <button
      type="button"
      {...rest}
      disabled={isAway || disabled}
      title={isAway ? 'Nothing can be changed while the server cannot reach its stores' : title}
    />
  );
}
