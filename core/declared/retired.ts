/**
 * Fields that a release before this one had, by the words of resources: they are passed over with a warning, where everything
 * else that nobody knows is a fault. Nothing is ever taken out of here while files with it may be about.
 */
const retired: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  project: { proxyMode: 'tools are always called through this server' },
  server: { proxyMode: 'tools are always called through this server' },
};

export interface WithoutRetired {
  fields: Record<string, unknown>;
  /** A sentence each; none of them says a value. */
  warnings: string[];
}

/** Whether a release before this one had other fields of it. */
export const hasRetired = (word: string): boolean => Object.hasOwn(retired, word);

export function withoutRetired(word: string, fields: Readonly<Record<string, unknown>>): WithoutRetired {
  const gone = retired[word] ?? {};
  const warnings = Object.keys(fields).flatMap((name) =>
    Object.hasOwn(gone, name)
      ? [`"${name}" of a ${word} is no more, and is passed over: ${gone[name]}.`]
      : [],
  );
  const kept = Object.entries(fields).filter(([name]) => !Object.hasOwn(gone, name));
  return { fields: Object.fromEntries(kept), warnings };
}
