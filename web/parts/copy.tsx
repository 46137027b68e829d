import { useSignal, type Signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

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
      done.value = 'This page may not copy here. It is selected: press Ctrl-C, or ⌘C.';
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

/**
 * What is shown this once. It is gone with what shows it, and when the page is left as a whole: a browser may keep a page as it was, for who
 * goes back to it.
 */
export function useShownOnce<T>(nothing: T): Signal<T> {
  const kept = useSignal(nothing);
  useEffect(() => {
    const forget = (): void => void (kept.value = nothing);
    addEventListener('pagehide', forget);
    return () => {
      removeEventListener('pagehide', forget);
      forget();
    };
  }, []);
  return kept;
}
