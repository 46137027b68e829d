/** One object of an answer: what names it, and all that the server said of it. */
export interface Keyed {
  key: string;
  raw: Readonly<Record<string, unknown>>;
}

/** What people call it: its name where it has one, else what names it. */
export const calledOf = ({ key, raw }: Keyed): string =>
  typeof raw['name'] === 'string' ? raw['name'] : key;
