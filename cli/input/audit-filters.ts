/** Which events of the audit. */
export const auditFilters: readonly (readonly [flags: string, about: string])[] = [
  ['--actor <user>', 'what this user did'],
  ['--as <user>', 'what was done in the name of this user'],
  ['--verb <verb>', 'create, edit, delete …'],
  ['--resource <type>', 'of this type'],
  ['--name <name>', 'of this name or id'],
  ['--outcome <code>', 'ok, or the code of a refusal'],
  ['--request-id <id>', 'of this request'],
];

/** Those that were said. */
export function given(filters: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(filters).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
  );
}
