import { useSignal } from '@preact/signals';

/** A text with a button that copies it; where that is not allowed it selects the text instead. */
export function Copy({ text, block = false, label }: { text: string; block?: boolean; label?: string }) {
  const done = useSignal('');
  const copy = async (event: MouseEvent): Promise<void> => {
    const code = (event.currentTarget as Element).parentElement?.querySelector('code');
    try {
      await navigator.clipboard.writeText(text);
      done.value = 'Copied';
    } catch {
      if (code) getSelection()?.selectAllChildren(code);
      done.value = 'Selected: press Ctrl-C';
    }
  };
  return (
    <span class={block ? 'copy block' : 'copy'}>
      <code>{text}</code>{' '}
      <button
        type="button"
        class="small"
        aria-label={`Copy ${label ?? text.slice(0, 40)}`}
        onClick={(event) => void copy(event)}
      >
        Copy
      </button>
      <span role="status" class="quiet">
        {done}
      </span>
    </span>
  );
}
