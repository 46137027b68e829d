import type { Mould } from './json-mould.ts';
import { elementsAt, memberOf, membersAt, type Member } from './json-text.ts';

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

  /** The object that the text is; undefined when it is none. */
  whole(): TextObject | undefined {
    return this.objectAt(this.text.indexOf('{'));
  }

  /** The object that begins at `start`; undefined when none does. */
  objectAt(start: number): TextObject | undefined {
    const object = membersAt(this.text, start);
    return object && { start, members: object.members, added: 0 };
  }

  /** The object that a member is; undefined where it is absent, or none. */
  objectIn({ members }: TextObject, key: string): TextObject | undefined {
    const member = memberOf(members, key);
    return member && this.objectAt(member.valueStart);
  }

  /** Where the elements of the array are that a member is; undefined where it is absent, or none. */
  elementsIn({ members }: TextObject, key: string): { start: number; end: number }[] | undefined {
    const member = memberOf(members, key);
    return member && elementsAt(this.text, member.valueStart);
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
    return this.#applied(0, this.text.length);
  }

  /** The same, in two: up to `start` and from `end` on; undefined where something between them is changed. */
  applyAround(start: number, end: number): Mould | undefined {
    if (this.#list.some(({ from, to }) => to > start && from < end)) return undefined;
    return { before: this.#applied(0, start), after: this.#applied(end, this.text.length) };
  }

  #applied(start: number, end: number): string {
    const changes = this.#list.filter(({ from, to }) => from >= start && to <= end);
    let copied = start;
    let result = '';
    for (const { from, to, text } of changes.sort((a, b) => a.from - b.from)) {
      result += this.text.slice(copied, from) + text;
      copied = to;
    }
    return result + this.text.slice(copied, end);
  }
}
