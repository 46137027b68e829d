import { useSignal } from '@preact/signals';
import { Dialog } from '../parts/dialog.tsx';
import { Fault } from '../parts/loaded.tsx';
import { doorFault, signIn, who } from '../state/session.ts';

function Form() {
  const token = useSignal('');
  const isBusy = useSignal(false);
  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    isBusy.value = true;
    await signIn(token.value);
    token.value = '';
    isBusy.value = false;
  };
  return (
    <form onSubmit={(event) => void send(event)}>
      {doorFault.value && <Fault fault={doorFault.value} />}
      <label>
        Token
        <input
          name="token"
          type="password"
          autocomplete="current-password"
          required
          value={token}
          onInput={(event) => (token.value = event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="main" disabled={isBusy.value}>
        Sign in
      </button>
      <p class="quiet">
        <code>npm start</code> shows a link that needs none. Else make one with{' '}
        <code>mcpctl token create NAME</code>. It is sent once; this browser keeps a cookie for eight hours.
      </p>
    </form>
  );
}

/** Over the page where somebody was signed in: what they typed stays below it. */
export function SignIn() {
  if (who.value)
    return (
      <Dialog title="Signed out: the token was revoked, or its time is over">
        <Form />
      </Dialog>
    );
  return (
    <main class="alone">
      <h1>mcpctl</h1>
      <Form />
    </main>
  );
}
