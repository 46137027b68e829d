import { isJson, listOf, stringOf, type Json } from '../../../core/translate/json.ts';

/*
 * JSON schemas as Anthropic takes them: of draft 2020-12, of an object at the top, without choices there
 * (Kilo-Org/kilocode#12246), and for what is enforced (`strict`, a format) without what it cannot enforce.
 */

/** Deeper is nobody's honest schema; from there on it stays as it is. */
const MOST_DEPTH = 64;
const types = new Set(['object', 'array', 'string', 'number', 'integer', 'boolean', 'null']);
const choices = ['anyOf', 'oneOf', 'allOf'] as const;
/** Members whose values are schemas by name, a list of schemas, or a schema. */
const named = new Set(['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas']);
const listed = new Set(['anyOf', 'oneOf', 'allOf', 'prefixItems']);
const single = new Set([
  'items',
  'additionalProperties',
  'not',
  'if',
  'then',
  'else',
  'contains',
  'propertyNames',
]);

/** What a schema of a tool's input is to Anthropic. @param nameOf what a property is called there. */
export function inputSchema(parameters: Json | null | undefined, nameOf: (key: string) => string): Json {
  const { type: _, ...schema } = flat(modern(parameters ?? { properties: {} }, nameOf, 0));
  return { type: 'object', ...schema };
}

/** The names of all properties in a schema, at any depth. */
export function propertiesIn(schema: unknown, depth = 0): string[] {
  if (!isJson(schema) || depth > MOST_DEPTH) return [];
  return Object.entries(schema).flatMap(([key, value]) => {
    const inner = (one: unknown): string[] => propertiesIn(one, depth + 1);
    if (single.has(key)) return [value].flat().flatMap(inner);
    if (listed.has(key)) return listOf(value).flatMap(inner);
    if (!named.has(key) || !isJson(value)) return [];
    return [...(key === 'properties' ? Object.keys(value) : []), ...Object.values(value).flatMap(inner)];
  });
}

/** A schema that is written for an older draft, or by a language that has one kind of emptiness, in words of 2020-12. */
function modern(schema: Json, nameOf: (key: string) => string, depth: number): Json {
  if (depth > MOST_DEPTH) return schema;
  const inner = (one: unknown): unknown => (isJson(one) ? modern(one, nameOf, depth + 1) : one);
  const member = (key: string, value: unknown): [string, unknown][] => {
    if (key === '$schema' || (value === null && key !== 'const' && key !== 'default')) return [];
    if (key === 'type') return typesIn(value);
    if (key === 'required')
      return Array.isArray(value) ? [[key, value.map((one) => nameIn(one, nameOf))]] : [];
    if (key === 'exclusiveMinimum' || key === 'exclusiveMaximum') return exclusive(schema, key);
    if ((key === 'minimum' || key === 'maximum') && schema[bounds[key]] === true) return [];
    if (key === 'items' && Array.isArray(value)) return [['prefixItems', value.map(inner)]];
    // PHP writes the empty object as a list.
    const usable = named.has(key) && !isJson(value) ? {} : value;
    return [[key, within(key, usable, { inner, nameOf })]];
  };
  return Object.fromEntries(Object.entries(schema).flatMap(([key, value]) => member(key, value)));
}

interface Inner {
  inner: (schema: unknown) => unknown;
  nameOf?: (key: string) => string;
}

/** A member of a schema, with what becomes of each schema right in it, and of the names of properties. */
function within(key: string, value: unknown, { inner, nameOf = (own) => own }: Inner): unknown {
  if (listed.has(key)) return listOf(value).map(inner);
  if (single.has(key)) return inner(value);
  if (!named.has(key) || !isJson(value)) return value;
  const name = key === 'properties' ? nameOf : (own: string) => own;
  return Object.fromEntries(Object.entries(value).map(([own, one]) => [name(own), inner(one)]));
}

const bounds = { minimum: 'exclusiveMinimum', maximum: 'exclusiveMaximum' } as const;

const nameIn = (value: unknown, nameOf: (key: string) => string): unknown =>
  typeof value === 'string' ? nameOf(value) : value;

/** Draft 4 says with `true` that a bound is not one of the values. */
function exclusive(schema: Json, key: 'exclusiveMinimum' | 'exclusiveMaximum'): [string, unknown][] {
  const value = schema[key];
  if (typeof value !== 'boolean') return [[key, value]];
  const bound = schema[key === 'exclusiveMinimum' ? 'minimum' : 'maximum'];
  return value && typeof bound === 'number' ? [[key, bound]] : [];
}

/** `any` and `file` are types elsewhere; without one it may be anything. */
function typesIn(value: unknown): [string, unknown][] {
  const usable = [value].flat().filter((type) => typeof type === 'string' && types.has(type));
  if (usable.length === 0) return [];
  return [['type', Array.isArray(value) ? usable : usable[0]]];
}

/** An object's schema with what its choices say put together: a property of one of them may be there. */
function flat(schema: Json, depth = 0): Json {
  const root = resolved(schema, schema);
  if (depth > MOST_DEPTH || !choices.some((key) => root[key] !== undefined)) return root;
  const rest = Object.entries(root).filter(([key]) => !choices.some((choice) => choice === key));
  let properties: Json = isJson(root['properties']) ? root['properties'] : {};
  let required = listOf(root['required']);
  for (const key of choices) {
    const all = listOf(root[key]).flatMap((one) =>
      isJson(one) ? [flat(resolved(one, schema), depth + 1)] : [],
    );
    for (const one of all)
      if (isJson(one['properties'])) properties = { ...one['properties'], ...properties };
    const lists = all.map((one) => listOf(one['required']));
    const [first = [], ...others] = lists;
    const also =
      key === 'allOf' ? lists.flat() : first.filter((own) => others.every((list) => list.includes(own)));
    required = [...new Set([...required, ...also])];
  }
  return { ...Object.fromEntries(rest), properties, ...(required.length > 0 ? { required } : {}) };
}

/** What a schema at the top, or of a choice there, refers to within its text. */
function resolved(schema: Json, root: Json): Json {
  const [, holder = '', name = ''] =
    /^#\/(\$defs|definitions)\/([^/]+)$/.exec(stringOf(schema['$ref']) ?? '') ?? [];
  const defined = isJson(root[holder]) ? root[holder][name] : undefined;
  if (!isJson(defined)) return schema;
  const { $ref: _, ...beside } = schema;
  return { ...defined, ...beside };
}

/** What Anthropic cannot hold an answer to; it is told in words instead, as its own SDKs do. */
const unenforced = new Set([
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  ...['minLength', 'maxLength', 'maxItems', 'uniqueItems', 'minProperties', 'maxProperties'],
]);
const formats = new Set([
  ...['date-time', 'time', 'date', 'duration', 'email', 'hostname', 'uri', 'ipv4', 'ipv6', 'uuid'],
]);

/** A schema that an answer, or the input of a strict tool, is held to: each of its objects says that it is all there is. */
export function enforcedSchema(schema: Json, depth = 0): Json {
  if (depth > MOST_DEPTH) return schema;
  const inner = (one: unknown): unknown => (isJson(one) ? enforcedSchema(one, depth + 1) : one);
  const words: string[] = [];
  const members = Object.entries(schema).flatMap(([key, value]): [string, unknown][] => {
    const isBeyond =
      unenforced.has(key) ||
      (key === 'minItems' && Number(value) > 1) ||
      (key === 'format' && !formats.has(String(value)));
    if (isBeyond) {
      words.push(`${key}: ${JSON.stringify(value)}`);
      return [];
    }
    return [[key === 'oneOf' ? 'anyOf' : key, within(key, value, { inner })]];
  });
  const isObject = [schema['type']].flat().includes('object') || isJson(schema['properties']);
  const described = [schema['description'], words.length > 0 ? `{${words.join(', ')}}` : undefined];
  const description = described.filter((text) => typeof text === 'string' && text !== '').join('\n\n');
  return {
    ...Object.fromEntries(members),
    ...(words.length > 0 ? { description } : {}),
    ...(isObject ? { additionalProperties: false } : {}),
  };
}
