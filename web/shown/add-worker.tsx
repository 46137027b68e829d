import { useSignal } from '@preact/signals';
import type { TokenView } from '../../core/access.ts';
import { call, isFault, type Fault as Refusal } from '../net/api.ts';
import { Copy } from '../parts/copy.tsx';
import { Dialog } from '../parts/dialog.tsx';
import { Fault } from '../parts/loaded.tsx';
import { may } from '../state/session.ts';

const example = JSON.stringify({
  providers: [
    {
      ...{ name: 'qwen-desk', type: 'ollama', url: 'http://127.0.0.1:11434', model: 'qwen3:8b' },
      ...{ poolName: 'qwen', publish: true },
    },
  ],
});

/** A token that publishes and does nothing else, shown this once: it is in one signal, and gone with the dialog. */
function PublishToken() {
  const name = useSignal('');
  const text = useSignal('');
  const fault = useSignal<Refusal | null>(null);
  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    try {
      const body = { name: name.value, preset: 'publish' };
      text.value = (await call<TokenView>('POST', '/tokens', { body })).token ?? '';
      fault.value = null;
    } catch (thrown) {
      if (isFault(thrown)) fault.value = thrown;
    }
  };
  if (text.value !== '')
    return (
      <>
        <p>It is shown this once; it publishes, and calls nothing. Paste it when you are asked for it.</p>
        <Copy text={text.value} block label="the token" />
      </>
    );
  if (!may('create', 'token'))
    return (
      <p>
        Your token makes no others. An admin runs{' '}
        <code>mcpctl token create NAME --user YOU --preset publish</code>.
      </p>
    );
  return (
    <form onSubmit={(event) => void send(event)}>
      {fault.value && <Fault fault={fault.value} />}
      <label>
        What the machine is called
        <input
          required
          maxLength={63}
          value={name}
          onInput={({ currentTarget }) => (name.value = currentTarget.value)}
        />
      </label>
      <button type="submit" class="main">
        Make its token
      </button>
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
              A token for it. <PublishToken />
            </li>
            <li>
              Sign in, and paste the token.{' '}
              <Copy
                text={`mcpctl login --server ${location.origin} --with-token`}
                block
                label="the sign-in"
              />
            </li>
            <li>
              Say what it publishes in <code>~/.mcpctl/config.json</code>; a server of Ollama, for one:{' '}
              <Copy text={example} block label="the example" />
            </li>
            <li>
              Run it. <Copy text="mcplocal run" block label="the command" />
            </li>
          </ol>
          <p>Others’ prompts are sent to that machine; its backend’s address and key stay there.</p>
        </Dialog>
      )}
    </>
  );
}
