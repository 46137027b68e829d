import { z } from 'zod';
import { nameSchema } from '../names.ts';
import { poolViewSchema } from '../pool.ts';
import { required, type Definition, type Field } from '../resources/define.ts';
import { llm } from '../resources/llm.ts';
import { userNameSchema } from '../resources/people/identity.ts';

/** What documents may be about: a definition is, and what says as much of itself. */
export interface Kind extends Pick<Definition, 'word' | 'plural' | 'unique'> {
  key: string;
  fields: Readonly<Record<string, Field>>;
  schemas: Pick<Definition['schemas'], 'create' | 'view'>;
  /** Words of what is made before it, beside what its references lead to. */
  behind?: readonly string[];
}

const MOST_GUESTS = 1_000;

/** Who may publish into a pool, beside its owner. A pool itself comes and goes with its llms. */
export const poolDocumentSchema = z.strictObject({
  poolKey: nameSchema,
  allowed: z
    .array(userNameSchema)
    .max(MOST_GUESTS)
    .overwrite((names) => [...new Set(names)].sort())
    .optional(),
});

export const poolKind: Kind = {
  word: 'pool',
  plural: 'pools',
  key: 'poolKey',
  fields: { poolKey: required(nameSchema) },
  schemas: { create: poolDocumentSchema, view: poolViewSchema },
  unique: ['poolKey'],
  behind: ['llm', 'user'],
};

/** What documents may be about, where these are the definitions. Of llms it is public ones: what a worker publishes is that worker's to say. */
export const kindsOf = (definitions: readonly Definition[]): Kind[] => [...definitions, llm, poolKind];

/** Why there are no documents of some things that have a word. */
export const noDocuments: Readonly<Record<string, string>> = {
  task: 'a task is asked for, and no document makes one',
  thread: 'a thread is what was said, and no document makes one',
  session: 'a session is a running worker, and no document makes one',
  token: 'a token is shown once, where it is made; no document holds one',
  template: 'a template comes with a release, and no document makes one',
  audit: 'the audit is what was done, and no document makes it',
};

/** What names one of them, among its fields. */
export const namesOf = ({ key, unique = [] }: Pick<Kind, 'key' | 'unique'>): string[] => [
  ...new Set([key === 'id' ? 'name' : key, ...unique]),
];

/** What one is of, where its name alone does not say which it is, as `project review`; undefined where it does. */
export function holderOf(
  { key, fields, unique = [] }: Pick<Kind, 'key' | 'fields' | 'unique'>,
  values: Readonly<Record<string, unknown>>,
): string | undefined {
  if (key !== 'id') return undefined;
  const holders = unique.flatMap((name) => {
    const [word, value] = [fields[name]?.reference?.to.word, values[name]];
    return word !== undefined && typeof value === 'string' ? [`${word} ${value}`] : [];
  });
  return holders.length > 0 ? holders.join(' and ') : undefined;
}

/** What people are told one is: `project/review`, `prompt/tone of project review`. */
export const labelOf = ({ resource, name, of }: Labelled): string =>
  of === undefined ? `${resource}/${name}` : `${resource}/${name} of ${of}`;

interface Labelled {
  resource: string;
  name: string;
  /** `holderOf` it. */
  of?: string | undefined;
}

/** What the server writes of each, and passes over where it is read back. */
export function ofServer({ schemas }: Kind): string[] {
  const own = Object.keys(schemas.create.shape);
  return Object.keys(schemas.view.shape).filter((name) => !own.includes(name));
}
