/** What some protocol takes for a name. */
export interface Naming {
  /** Matches each character that it has no room for; global. */
  odd: RegExp;
  /** Characters, at most. */
  most: number;
}

/** Of tools, as Anthropic and OpenAI take them. */
export const toolNaming: Naming = { odd: /[^a-zA-Z0-9_-]/g, most: 64 };

/**
 * Names for one request, one to one, for a protocol that takes fewer of them than the one they came by. A model reads them,
 * so what would be refused (`files.read`, `weather/now`) stays as it is but for the characters that there is no room for;
 * who would be called alike is told apart by a number. The same names, in the same order, always give the same.
 */
export class AlikeNames {
  readonly #naming: Naming;
  readonly #asked = new Map<string, string>();
  readonly #sent = new Map<string, string>();
  /** The next number to try behind a beginning: those before are taken. Else many alike would each try all of them. */
  readonly #next = new Map<string, number>();
  #areSame = true;

  /** @param names of the request, in any order. Those that are taken as they are keep theirs, whoever comes first. */
  constructor(names: readonly string[], naming: Naming) {
    this.#naming = naming;
    for (const name of names) if (this.#isTaken(name)) this.#pair(name, name);
    for (const name of names) {
      if (this.#sent.has(name)) continue;
      this.#areSame = false;
      this.#pair(name, this.#free(name));
    }
  }

  /** Whether all of them are sent as they are. */
  get areSame(): boolean {
    return this.#areSame;
  }

  /** What is sent for a name; a name that was not among them stays as it is. */
  sent(name: string): string {
    return this.#sent.get(name) ?? name;
  }

  /** What was asked for by a name that was sent. */
  asked(name: string): string {
    return this.#asked.get(name) ?? name;
  }

  #isTaken(name: string): boolean {
    return name !== '' && name.length <= this.#naming.most && name.search(this.#naming.odd) < 0;
  }

  #pair(asked: string, sent: string): void {
    this.#sent.set(asked, sent);
    this.#asked.set(sent, asked);
  }

  #free(name: string): string {
    const like = name.replace(this.#naming.odd, '_') || 'tool';
    for (let n = 1; ;) {
      const end = n === 1 ? '' : `_${n}`;
      const begin = like.slice(0, this.#naming.most - end.length);
      const numbered = `${end.length} ${begin}`;
      const next = this.#next.get(numbered) ?? n;
      if (next === n && !this.#asked.has(begin + end)) return begin + end;
      n = Math.max(next, n + 1);
      this.#next.set(numbered, n);
    }
  }
}
