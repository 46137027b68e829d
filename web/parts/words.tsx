import { useSignal } from '@preact/signals';

/** So many characters are laid out: a line of a megabyte would hold the page up with each word that comes. */
export const MOST_SHOWN = 64_000;

interface Props {
  text: string;
  /** More of it is on its way: its end is what one reads. */
  isComing?: boolean;
  class?: string;
}

/** What a model or a person wrote, as it is written; of much of it a part, and the rest for who asks for it. */
export function Words({ text, isComing = false, class: more = '' }: Props) {
  const isWhole = useSignal(false);
  const isCut = text.length > MOST_SHOWN && !isWhole.value;
  const part = isComing ? text.slice(-MOST_SHOWN) : text.slice(0, MOST_SHOWN);
  const sum = (count: number): string => count.toLocaleString('en');
  return (
    <>
      <p class={`words ${more}`}>{isCut ? part : text}</p>
      {isCut && (
        <p class="quiet">
          {isComing ? 'The last' : 'The first'} {sum(MOST_SHOWN)} of {sum(text.length)} characters.{' '}
          {!isComing && (
            <button type="button" class="small" onClick={() => (isWhole.value = true)}>
              Show all
            </button>
          )}
        </p>
      )}
    </>
  );
}
