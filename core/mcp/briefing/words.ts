/** What says nothing of what a text is about. */
const stopWords: ReadonlySet<string> = new Set(
  `about after again all also and any are because been before being but can could did does each for from get had has have her
  here him his how into its just let like make may more most must need not now off one only other our out over own per please
  put same say see shall she should some such than that the their them then there these they this those through too use very
  want was way well were what when where which while who why will with would you your`
    .split(/\s+/)
    .filter((word) => word !== ''),
);

/** What texts are about: their words of three letters or digits and more, without capitals, and without those that every text has. */
export function wordsOf(...texts: readonly string[]): Set<string> {
  const words = texts.flatMap((text) => text.toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) ?? []);
  return new Set(words.filter((word) => !stopWords.has(word)));
}

const LONGEST_SUMMARY = 160;

/** What stands for a text that has no summary: its first sentence, without what marks a heading or an item of a list. */
export function firstSentence(text: string): string {
  const lines = text.split(/[\r\n]+/).map((line) => line.replace(/^[\s#>*+-]+/, '').trim());
  const line = lines.find((candidate) => candidate !== '') ?? '';
  const end = /[.!?](?=\s|$)/.exec(line);
  const sentence = end ? line.slice(0, end.index + 1) : line;
  const letters = [...sentence];
  return letters.length <= LONGEST_SUMMARY ? sentence : `${letters.slice(0, LONGEST_SUMMARY - 1).join('')}…`;
}
