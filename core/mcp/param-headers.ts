/** Of a tool's schema: this argument is repeated in the header `Mcp-Param-<its value>`. */
const ANNOTATION = 'x-mcp-header';
/** What may be the name of a header. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/;
const types: ReadonlySet<unknown> = new Set(['string', 'integer', 'boolean']);

export interface ParamHeader {
  header: string;
  /** Where the argument is, by its names. */
  path: readonly string[];
  type: unknown;
}

/**
 * Which arguments of a tool are repeated in headers. Only those that are reached through `properties` alone may be, each under a name
 * of its own, and none but texts, whole numbers, and yes or no. @returns null where a schema wants others: clients drop such a tool.
 */
export function headersOf(schema: object): ParamHeader[] | null {
  const headers: ParamHeader[] = [];
  if (!collect(schema, [], headers)) return null;
  const names = new Set(headers.map(({ header }) => header.toLowerCase()));
  return names.size === headers.length ? headers : null;
}

/** @param path null: not reached through `properties` alone. */
function collect(node: unknown, path: readonly string[] | null, headers: ParamHeader[]): boolean {
  if (typeof node !== 'object' || node === null) return true;
  if (Array.isArray(node)) return node.every((inner) => collect(inner, null, headers));
  const schema = node as Record<string, unknown>;
  if (Object.hasOwn(schema, ANNOTATION)) {
    const { [ANNOTATION]: header, type } = schema;
    const isFine = path !== null && path.length > 0 && typeof header === 'string' && TOKEN.test(header);
    if (!isFine || !types.has(type)) return false;
    headers.push({ header, path, type });
  }
  return Object.entries(schema).every(([key, inner]) => {
    if (key === 'default' || key === 'const' || key === 'enum' || key === 'examples') return true; // values, and no schemas
    if (key !== 'properties' || path === null) return collect(inner, null, headers);
    if (typeof inner !== 'object' || inner === null) return true;
    return Object.entries(inner).every(([name, property]) => collect(property, [...path, name], headers));
  });
}
