import { elementsAt, topLevelMembers } from '../../text/json-text.ts';
import { pagesOf } from './pages.ts';
import { pageLength, pagingOf, splitOf, type Pipeline } from './settings.ts';
import { cleanTitle } from './titles.ts';

export interface Section {
  text: string;
  /** Null: it says of itself what it is about nowhere. */
  title: string | null;
}

/** A text as its project has it read: in its sections, else in pages. */
export function partsOf(text: string, pipeline: Pipeline): Section[] {
  const split = splitOf(pipeline);
  const sections =
    split && text.length > (pagingOf(pipeline)?.over ?? Infinity) ? sectionsOf(text, split) : null;
  return sections ?? pagesOf(text, pageLength(pipeline)).map((page) => ({ text: page, title: null }));
}

interface Mark {
  at: number;
  title: string;
}

/**
 * A text by what it is made of: headings, or the members or items of a JSON text. What is shorter than `min` is together with what comes after it,
 * what is longer than `max` is in pages. One after another they are the text again. Null: it is made of nothing of the kind.
 * @internal tests put them together
 */
export function sectionsOf(text: string, { min, max }: { min: number; max: number }): Section[] | null {
  const marks = marksOf(text);
  if (marks.length < 2) return null;
  const starts = marks.filter(({ at }) => at > 0);
  const sections: Section[] = [];
  let from = 0;
  let titles: string[] = marks[0]?.at === 0 ? [marks[0].title] : [];
  const close = (to: number): void => {
    if (to > from) sections.push(...parted(text.slice(from, to), titles, max));
    from = to;
    titles = [];
  };
  for (const { at, title } of starts) {
    if (at - from >= min) close(at);
    titles.push(title);
  }
  close(text.length);
  return sections.length < 2 ? null : sections;
}

function parted(text: string, titles: readonly string[], max: number): Section[] {
  const [first, last] = [titles[0], titles.at(-1)];
  const title =
    first === undefined ? null : cleanTitle(first === last ? first : `${first} … ${String(last)}`);
  const pages = pagesOf(text, max);
  return pages.map((page, n) => ({
    text: page,
    title: title === null || n === 0 ? title : cleanTitle(`${title.slice(0, 52)} (${String(n + 1)})`),
  }));
}

function marksOf(text: string): Mark[] {
  const first = /\S/.exec(text);
  if (first?.[0] === '{')
    return (topLevelMembers(text) ?? []).map(({ key, keyStart }) => ({ at: keyStart, title: key }));
  if (first?.[0] === '[')
    return (elementsAt(text, first.index) ?? []).map(({ start }, n) => ({
      at: start,
      title: `item ${String(n + 1)}`,
    }));
  return [...text.matchAll(/^#{1,6}[ \t]+(\S.*)$/gm)].map(({ index, 1: title = '' }) => ({
    at: index,
    title,
  }));
}
