import { z } from 'zod';
import { listed } from './index.ts';
import type { Definition, Listed } from './define.ts';

/** How a path is shown; a release that does not know a way of showing writes the value as it is. */
const shownSchema = z.object({
  label: z.string(),
  path: z.string(),
  as: z.string().optional(),
  none: z.string().optional(),
  wide: z.boolean().optional(),
  spare: z.boolean().optional(),
});
export type CatalogueShown = z.infer<typeof shownSchema>;

const fieldSchema = z.object({
  name: z.string(),
  /** How it is written on a command line: as text, in digits, as yes or no, or as JSON. */
  kind: z.string(),
  /** The words that it may be, where it is one of a few. */
  choices: z.array(z.string()).optional(),
  required: z.boolean(),
  long: z.boolean(),
  /** It can be written only when the thing is there. */
  afterwards: z.boolean().optional(),
  /** Its values are shown as masks, and are never given in arguments. */
  sealed: z.boolean().optional(),
  /** Of a list: the option that adds one, and the members that it writes, with colons between; none: the text itself. */
  item: z
    .object({ flag: z.string(), parts: z.array(z.string()), numbers: z.array(z.string()).optional() })
    .optional(),
});
type CatalogueField = z.infer<typeof fieldSchema>;

/** An entry of `GET /api/v1/resources`: enough to list, show, edit and delete what one has never heard of. */
export const catalogueEntrySchema = z.object({
  word: z.string(),
  plural: z.string(),
  short: z.array(z.string()),
  about: z.string(),
  key: z.string(),
  calls: z.array(z.string()),
  filters: z.array(z.string()),
  /** One can be given another name. */
  isRenamed: z.boolean().optional(),
  /** What people write; the rest of an object is the server's. */
  fields: z.array(fieldSchema),
  columns: z.array(shownSchema),
  describe: z.array(shownSchema),
  /** A body that makes one. */
  example: z.record(z.string(), z.unknown()),
});
export type CatalogueEntry = z.infer<typeof catalogueEntrySchema>;

const kinds: Readonly<Record<string, string>> = {
  string: 'text',
  integer: 'number',
  number: 'number',
  boolean: 'flag',
};

/** Of what may be null as of what it is else. */
function howWritten(schema: z.ZodType): Pick<CatalogueField, 'kind' | 'choices'> {
  const { anyOf, ...whole } = z.toJSONSchema(schema, { io: 'input' });
  const { type, enum: choices } = whole.type === undefined && anyOf?.[0] ? anyOf[0] : whole;
  return { kind: kinds[String(type)] ?? 'json', ...(choices && { choices: choices.map(String) }) };
}

function fieldsOf(resource: Listed | Definition): CatalogueField[] {
  if (!('fields' in resource)) return [];
  return Object.entries(resource.fields).map(
    ([name, { schema, fallback, reference, item, afterwards, sealed, long = false }]) => {
      const written = reference ? { kind: 'text' } : howWritten(schema);
      const more = item && {
        item: {
          flag: item.flag,
          parts: [...item.parts],
          ...(item.numbers && { numbers: [...item.numbers] }),
        },
      };
      return {
        name,
        ...written,
        required: fallback === undefined,
        long,
        ...(afterwards && { afterwards }),
        ...(sealed && { sealed }),
        ...more,
      };
    },
  );
}

/** What is written of it is made when it is asked for: that takes a JSON Schema of each field, and listing needs none. */
export function catalogueEntry(resource: Listed | Definition): CatalogueEntry {
  const { word, plural, short, about, key, calls, filters, columns, describe } = resource;
  let fields: CatalogueField[] | undefined;
  return {
    ...{ word, plural, about, key },
    short: [...short],
    calls: [...calls],
    filters: [...filters],
    ...('isRenamed' in resource && { isRenamed: resource.isRenamed }),
    get fields() {
      return (fields ??= fieldsOf(resource));
    },
    columns: [...columns],
    describe: [...describe],
    example: 'example' in resource ? { ...resource.example } : {},
  };
}

/** Those of this release. */
export const ownCatalogue = (): CatalogueEntry[] => listed.map(catalogueEntry);
