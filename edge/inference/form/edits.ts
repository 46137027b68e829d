import { membersAt, type Member } from '../../../core/json-text.ts';

/** An object within a JSON text. */
export interface TextObject {
  /** Where its brace is. */
  start: number;
  members: readonly Member[];
  /** How many members were put in front of these. */
  added: number;
}

/**
 * Changes to a JSON text, made all at once: what is not changed stays the text it was, big integers, `1.0`,
 * duplicate keys and all.
 */
export class Edits {
  readonly text: string;
  readonly #list: { from: number; to: number; text: string }[] = [];

  constructor(text: string) {
    this.text = text;
  }

  /** The object that begins at `start`; undefined when none does. */
  objectAt(start: number): TextObject | undefined {
    const found = membersAt(this.text, start);
    return found && { start, members: found.members, added: 0 };
  }

  /** The text of a member's value; of duplicates the last, as parsers take it. Undefined when it is absent. */
  value({ members }: TextObject, key: string): string | undefined {
    const member = memberOf(members, key);
    return member && this.text.slice(member.valueStart, member.valueEnd);
  }

  /** Puts a value to a member, at every occurrence; at the front of the object where it is absent. */
  put(object: TextObject, key: string, text: string): void {
    const { start, members } = object;
    let there = false;
    for (const member of members) {
      if (member.key !== key) continue;
      there = true;
      const { valueStart: from, valueEnd: to } = member;
      if (this.text.slice(from, to) !== text) this.replace(from, to, text);
    }
    if (there) return;
    const [before, after] = members.length > 0 ? ['', ','] : [object.added > 0 ? ',' : '', ''];
    object.added += 1;
    this.replace(start + 1, start + 1, `${before}${JSON.stringify(key)}:${text}${after}`);
  }

  replace(from: number, to: number, text: string): void {
    this.#list.push({ from, to, text });
  }

  apply(): string {
    if (this.#list.length === 0) return this.text;
    const sorted = this.#list.sort((a, b) => a.from - b.from);
    let copied = 0;
    let result = '';
    for (const { from, to, text } of sorted) {
      result += this.text.slice(copied, from) + text;
      copied = to;
    }
    return result + this.text.slice(copied);
  }
}

export function memberOf(members: readonly Member[], key: string): Member | undefined {
  return members.findLast((member) => member.key === key);
}
