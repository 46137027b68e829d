import { useSignal } from '@preact/signals';
import type { TokenView } from '../../core/access.ts';
import { call } from '../net/api.ts';
import { useSending } from '../net/sending.ts';
import { Copy, useShownOnce } from '../parts/copy.tsx';
import { Fault } from '../parts/loaded.tsx';
import { Write } from '../parts/write.tsx';

/** Makes a token and shows its text this once: it is in one signal, and gone with the dialog. */
export function NewToken() {
  const name = useSignal('');
  const days = useSignal('');
  const text = useShownOnce('');
  const { fault, send } = useSending();
  const submit = (event: Event): void => {
    event.preventDefault();
    const wishes = days.value === '' ? {} : { expiresInDays: Number(days.value) };
    const body = { name: name.value, ...wishes };
    void send(async () => {
      text.value = (await call<TokenView>('POST', '/tokens', { body })).token ?? '';
    });
  };
  if (text.value !== '')
    return (
      <>
        <p>It is shown this once. Keep it where programs find it, and nowhere else.</p>
        <Copy text={text.value} block label="the token" />
      </>
    );
  return (
    <form onSubmit={submit}>
      {fault.value && <Fault fault={fault.value} />}
      <label>
        Name
        <input
          required
          maxLength={63}
          value={name}
          onInput={({ currentTarget }) => (name.value = currentTarget.value)}
        />
      </label>
      <label>
        Days until it ends (empty: never)
        <input
          type="number"
          min="1"
          max="3650"
          value={days}
          onInput={({ currentTarget }) => (days.value = currentTarget.value)}
        />
      </label>
      <Write type="submit" class="main">
        Make it
      </Write>
    </form>
  );
}
