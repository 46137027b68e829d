import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { path } from '../state/router.ts';

let isFirst = true;

/** Names may come from an address that somebody pasted: what turns the words of a tab around, or is none, is seen as that. */
const unshowable = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** What a person may paste into a shell. */
interface Command {
  readonly text: string;
}

/** One word to a shell, whatever is in it. */
export const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

/** A command with names in it, which may be others': each stays a word of its own. */
export const shell = (texts: TemplateStringsArray, ...words: (string | readonly string[])[]): Command => ({
  text: texts
    .map((text, i) => text + [words[i] ?? []].flat().map(quoted).join(' '))
    .join('')
    .trim(),
});

interface Props {
  title: string;
  /** What shows the same in a terminal. */
  command?: Command;
  actions?: ComponentChildren;
  children: ComponentChildren;
}

/** A screen: its heading gets the focus when one came here from another, so that a screen reader says where one is. */
export function Screen({ title, command, actions, children }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  const at = path.value;
  useEffect(() => {
    document.title = `${title.replace(unshowable, '\ufffd')} · mcpctl`;
  }, [title]);
  useEffect(() => {
    if (!isFirst) heading.current?.focus({ preventScroll: true });
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
          In a terminal: <code>{command.text}</code>
        </p>
      )}
    </>
  );
}
