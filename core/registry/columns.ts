/**
 * The one place where camelCase (code) meets snake_case (Postgres). Only column names are turned, never what
 * is inside a jsonb value.
 */
export function toSnake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function toCamel(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
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
