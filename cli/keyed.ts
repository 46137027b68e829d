/** One object of an answer: what names it, and all that the server said of it. */
export interface Keyed {
  key: string;
  raw: Readonly<Record<string, unknown>>;
}
