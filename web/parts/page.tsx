import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { path } from '../state/router.ts';

let isFirst = true;

interface Props {
  title: string;
  /** What shows the same in a terminal. */
  command?: string;
  actions?: ComponentChildren;
  children: ComponentChildren;
}

/** A screen: its heading gets the focus when one came here from another, so that a screen reader says where one is. */
export function Screen({ title, command, actions, children }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  const at = path.value;
  useEffect(() => {
    document.title = `${title} · mcpctl`;
  }, [title]);
  useEffect(() => {
    if (!isFirst) heading.current?.focus();
    isFirst = false;
  }, [at]);
  return (
    <>
      <div class="head">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {actions && <div class="actions">{actions}</div>}
      </div>
      {children}
      {command !== undefined && (
        <p class="quiet command">
          In a terminal: <code>{command}</code>
        </p>
      )}
    </>
  );
}
