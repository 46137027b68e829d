import type { Fault as Refusal } from '../net/api.ts';
import { Copy } from './copy.tsx';

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
