/** Of column names; there are far fewer. */
const MOST_NAMES = 1_000;

/**
 * The one place where camelCase (code) meets snake_case (Postgres). Only column names are turned, never what
 * is inside a jsonb value.
 */
export const toSnake = remembered((name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));

/** What knex's migrations read under the name that they gave it: each run of them is a batch of its own by it. */
const ofKnex = 'max_batch';

const toCamel = remembered((name) =>
  name === ofKnex ? name : name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
);

/** There are as many names as columns, and each is asked for with every row. */
function remembered(turn: (name: string) => string): (name: string) => string {
  const cache = new Map<string, string>();
  return (name) => {
    const turned = cache.get(name) ?? turn(name);
    if (cache.size < MOST_NAMES) cache.set(name, turned);
    return turned;
  };
}

function camelRow(row: Record<string, unknown>): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(row)) out[toCamel(name)] = value;
  return out;
}

const isRow = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

/** What knex hands back, rows camelled: a list, one row, or the result of `raw` (its `rows`). */
export function camelResponse(response: unknown): unknown {
  if (Array.isArray(response)) return response.map((row: unknown) => (isRow(row) ? camelRow(row) : row));
  if (!isRow(response)) return response;
  if ('rows' in response && Array.isArray(response['rows'])) {
    response['rows'] = camelResponse(response['rows']);
    return response;
  }
  return camelRow(response);
}
