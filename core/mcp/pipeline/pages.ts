import { isPair } from './redact/redact.ts';

/** No character that people see as one is longer, and nobody shall make a page longer by one that is. */
const LONGEST_CHARACTER = 256;

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

/**
 * A text in pages of at most `most`: one after another they are the text again. A page ends behind a paragraph where one ends in its
 * last quarter, else behind a line, else behind a space, else between two characters as people see them.
 */
export function pagesOf(text: string, most: number): string[] {
  const pages: string[] = [];
  for (let from = 0; from < text.length;) {
    const to = endOfPage(text, from, most);
    pages.push(text.slice(from, to));
    from = to;
  }
  return pages;
}

/** What is before a text's end at `most`, without a half of a character at it. */
export const beginningOf = (text: string, most: number): string =>
  text.length <= most ? text : text.slice(0, endOfCharacters(text, 0, most));

function endOfPage(text: string, from: number, most: number): number {
  if (text.length - from <= most) return text.length;
  const parts = charactersOf(text, from, most);
  const least = from + Math.ceil((most * 3) / 4);
  // By itself: what is looked for backward in the whole text may be found at its beginning, or nowhere.
  const quarter = text.slice(least, from + most);
  for (const separator of ['\n\n', '\n', ' ']) {
    for (
      let at = quarter.lastIndexOf(separator);
      at >= 0;
      at = at === 0 ? -1 : quarter.lastIndexOf(separator, at - 1)
    ) {
      const to = least + at + separator.length;
      if (isEdge(parts, to - from)) return to;
    }
  }
  return endOfCharacters(text, from, most);
}

/** A page begins at a character, so what is before it says nothing of where others begin. */
const charactersOf = (text: string, from: number, most: number): Intl.Segments =>
  segmenter.segment(text.slice(from, from + most + LONGEST_CHARACTER));

const isEdge = (parts: Intl.Segments, at: number): boolean => (parts.containing(at)?.index ?? at) === at;

function endOfCharacters(text: string, from: number, most: number): number {
  const character = charactersOf(text, from, most).containing(most);
  const start = character?.index ?? most;
  if (start > 0 && most - start <= LONGEST_CHARACTER) return from + start;
  return from + (isPair(text, from + most) ? most - 1 : most);
}
