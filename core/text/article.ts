/** "an agent", "a prompt": of the words of resources, which are all as they are written. */
export const withArticle = (word: string): string => `${/^[aeio]/.test(word) ? 'an' : 'a'} ${word}`;
