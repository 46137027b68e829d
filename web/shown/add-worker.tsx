import { useSignal } from '@preact/signals';
import type { JoinCodeView } from '../../core/access/join-code.ts';
import { call } from '../net/api.ts';
import { useSending } from '../net/sending.ts';
import { Copy, useShownOnce } from '../parts/copy.tsx';
import { Dialog } from '../parts/dialog.tsx';
import { Fault } from '../parts/loaded.tsx';
import { Write } from '../parts/write.tsx';
import { may } from '../state/session.ts';

/** Makes a join code, which is in one signal and gone with the dialog. */
function Invite() {
  const pool = useSignal('');
  const made = useShownOnce<JoinCodeView | null>(null);
  const { fault, send } = useSending();
  if (!may('create', 'token'))
    return (
      <p>
        Your token makes no others, and so lets no worker in. Somebody whose token does runs{' '}
        <code>mcpctl worker invite --pool POOL</code>.
      </p>
    );
  if (made.value !== null)
    return (
      <>
        <p>
          Paste this at the machine of the model within ten minutes. It works once, and is shown this once.
        </p>
        <Copy text={`mcplocal join ${location.origin} --code ${made.value.code}`} block label="the command" />
        {made.value.credentialEndsAt !== null && (
          <p>What it gets ends with your token, at {made.value.credentialEndsAt}.</p>
        )}
      </>
    );
  const submit = (event: Event): void => {
    event.preventDefault();
    const body = { pools: [pool.value.trim()] };
    void send(async () => {
      made.value = await call<JoinCodeView>('POST', '/join-codes', { body });
    });
  };
  return (
    <form onSubmit={submit}>
      {fault.value && <Fault fault={fault.value} />}
      <label>
        Pool that it may publish in
        <input
          required
          maxLength={63}
          value={pool}
          onInput={({ currentTarget }) => (pool.value = currentTarget.value)}
        />
      </label>
      <Write type="submit" class="main">
        Make its code
      </Write>
    </form>
  );
}

/** What to type on the machine of a model, in its order. The row of it appears by itself. */
export function AddWorker() {
  const isOpen = useSignal(false);
  if (!may('create', 'session')) return null;
  return (
    <>
      <button type="button" class="main" onClick={() => (isOpen.value = true)}>
        Add a worker
      </button>
      {isOpen.value && (
        <Dialog title="Add a worker" close={() => (isOpen.value = false)}>
          <p>On the machine of the model, with Node 20.19 or newer and this server’s package:</p>
          <ol class="numbered">
            <li>
              Let it in. It gets a credential of its own, and asks which models to share. <Invite />
            </li>
            <li>
              Run it. <Copy text="mcplocal run" block label="running it" />
            </li>
            <li>
              Keep it running, if it is to begin by itself.{' '}
              <Copy text="mcplocal service install" block label="keeping it running" />
            </li>
          </ol>
          <p>Others’ prompts are sent to that machine; its backend’s address and key stay there.</p>
        </Dialog>
      )}
    </>
  );
}
