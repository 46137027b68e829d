import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';

interface Props {
  title: string;
  /** Escape, too. Absent: there is no way out but through it. */
  close?: () => void;
  children: ComponentChildren;
}

/** The browser's own: keeps the focus inside, and gives it back. */
export function Dialog({ title, close, children }: Props) {
  const ref = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const before = document.activeElement;
    const dialog = ref.current;
    dialog?.showModal();
    return () => {
      dialog?.close(); // while it is open nothing outside of it takes the focus
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        close?.();
      }}
    >
      <h2 id={heading}>{title}</h2>
      {children}
      {close && (
        <p class="actions">
          <button type="button" onClick={close}>
            Close
          </button>
        </p>
      )}
    </dialog>
  );
}
