/** C0 but ends of lines and tabs, C1, what turns the order of writing, what shows nothing. */
const unseen =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/gu;
const MOST_SHOWN = 2_048;

/** What a server, or a project, says of something, as clients are shown it: nothing in it that a person would not see. */
export const cleaned = (text: string): string =>
  text.replace(unseen, '').toWellFormed().slice(0, MOST_SHOWN).toWellFormed();

/** A text for who decides about it: what a person would not see is written out, and nothing is cut. */
export const revealed = (text: string): string =>
  text.toWellFormed().replace(unseen, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
