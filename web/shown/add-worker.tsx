import { useSignal } from '@preact/signals';
import { Copy } from '../parts/copy.tsx';
import { Dialog } from '../parts/dialog.tsx';
import { may } from '../state/session.ts';
import { TokenForm } from './new-token.tsx';

const example = JSON.stringify({
  providers: [
    {
      ...{ name: 'qwen-desk', type: 'ollama', url: 'http://127.0.0.1:11434', model: 'qwen3:8b' },
      ...{ poolName: 'qwen', publish: true },
    },
  ],
});

/** A token that publishes and does nothing else. */
function PublishToken() {
  if (!may('create', 'token'))
    return (
      <p>
        Your token makes no others. An admin runs{' '}
        <code>mcpctl token create NAME --user YOU --preset publish</code>.
      </p>
    );
  return (
    <TokenForm
      label="What the machine is called"
      wishes={() => ({ preset: 'publish' })}
      make="Make its token"
      once="It is shown this once; it publishes, and calls nothing. Paste it when you are asked for it."
    />
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
