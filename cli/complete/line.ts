/**
 * The words of a line up to the cursor, as a shell would read them; the last is the one being typed, empty after a
 * space. A quote that is still open counts as closed.
 */
export function wordsOf(line: string): string[] {
  const words: string[] = [];
  let word = '';
  let inWord = false;
  let quote = '';
  for (let i = 0; i < line.length; i++) {
    const character = line[i] ?? '';
    if (quote === '' && /\s/.test(character)) {
      if (inWord) words.push(word);
      [word, inWord] = ['', false];
      continue;
    }
    inWord = true;
    if (character === quote) quote = '';
    else if (quote === '' && (character === '"' || character === "'")) quote = character;
    else if (character === '\\' && quote !== "'") word += line[++i] ?? '';
    else word += character;
  }
  return [...words, word];
}

/**
 * bash takes `a:b` and `--x=y` for several words, and puts in what it is given for the last of them alone.
 * @param breaks bash's `COMP_WORDBREAKS`.
 * @returns how much of the word stands before that last part.
 */
export function brokenAt(word: string, breaks: string): number {
  for (let i = word.length - 1; i >= 0; i--) {
    const character = word[i] ?? '';
    if (/[^\w\s"'\\/-]/.test(character) && breaks.includes(character)) return i + 1;
  }
  return 0;
}
