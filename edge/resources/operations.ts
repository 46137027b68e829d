import { z } from 'zod';
import type { ErrorCode } from '../../core/errors.ts';
import { hasRetired } from '../../core/declared/retired.ts';
import { closed } from '../../core/access/grants.ts';
import { catalogueEntrySchema } from '../../core/resources/catalogue.ts';
import {
  deleteQuerySchema,
  handOverQuerySchema,
  takenViewSchema,
  type Definition,
} from '../../core/resources/define.ts';
import { withArticle } from '../../core/text/article.ts';
import { ifMatch, listOf, type Operation } from '../openapi/operation.ts';
import { doubts } from './doubts.ts';

const refusedWrite: readonly ErrorCode[] = ['invalid_request', 'name_taken', 'quota_exceeded'];
/** What rights are made of refuses besides. */
const ofIdentity: readonly ErrorCode[] = ['escalation', 'last_admin', 'name_retired'];
/** What is sealed needs keys, and is kept for what uses it. */
const ofSealed: readonly ErrorCode[] = [
  'name_retired',
  'secret_in_use',
  'secret_undecryptable',
  'secrets_disabled',
];

function refusalsOf({ word, fields }: Definition): readonly ErrorCode[] {
  if (Object.values(fields).some(({ sealed }) => sealed)) return ofSealed;
  return closed.includes(word) ? ofIdentity : [];
}

/** What a write answers: besides, what was said of fields of a former release, which are passed over, and what is doubtful. */
const writtenOf = ({ word, schemas: { view } }: Definition): z.ZodType =>
  hasRetired(word) || Object.hasOwn(doubts, word)
    ? view.extend({ warnings: z.array(z.string()).optional() }).meta({ id: `${capital(word)}Written` })
    : view;

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** What edge/resources/routes.ts serves of a resource, as the OpenAPI document tells it. */
export function operationsOf(definition: Definition): Operation[] {
  const { word, plural, about, key, missing, schemas } = definition;
  const guarded = refusalsOf(definition);
  const { create, replace, change, query, view } = schemas;
  const [all, one] = [`/${plural}`, `/${plural}/{${key}}`] as const;
  const named = key === 'name' ? 'by its name' : 'by its id, or its name where that is the only one';
  const shared = { tag: plural, status: 200, answer: view };
  const write = { ...shared, answer: writtenOf(definition) };
  const made = { ...write, status: 201 };
  return [
    {
      ...shared,
      call: `GET ${all}`,
      summary: `List ${plural}`,
      about: `${capital(withArticle(word))}: ${about}.`,
      query,
      answer: listOf(view),
      errors: ['invalid_request', 'invalid_cursor'],
    },
    {
      ...made,
      call: `POST ${all}`,
      summary: `Create ${withArticle(word)}`,
      body: create,
      errors: [...refusedWrite, ...guarded],
    },
    { ...shared, call: `GET ${one}`, summary: `Show ${withArticle(word)}, ${named}`, errors: [missing] },
    {
      ...write,
      call: `PUT ${one}`,
      summary: key === 'name' ? `Create or replace ${withArticle(word)}` : `Replace ${withArticle(word)}`,
      about: 'Idempotent: the whole truth, an absent field is its default.',
      headers: ifMatch,
      body: replace,
      ...(key === 'name' ? { also: [{ status: 201, answer: write.answer }] } : {}),
      errors: [...refusedWrite, ...guarded, ...(key === 'name' ? [] : [missing]), 'stale_revision'],
    },
    {
      ...write,
      call: `PATCH ${one}`,
      summary: `Change ${withArticle(word)}`,
      headers: ifMatch,
      body: change,
      errors: [...refusedWrite, ...guarded, missing, 'stale_revision'],
    },
    {
      tag: plural,
      status: 204,
      call: `DELETE ${one}`,
      summary: `Delete ${withArticle(word)}`,
      headers: ifMatch,
      about:
        'With `dryRun=true` nothing is deleted: the answer says what would go with it, and what would stay without it.',
      query: definition.isHandedOver ? handOverQuerySchema : deleteQuerySchema,
      also: [{ status: 200, answer: takenViewSchema.meta({ id: 'Taken' }) }],
      errors: [missing, 'in_use', ...guarded, 'stale_revision'],
    },
  ];
}

/** What there is, told so that a command line can show what it has never heard of. */
export const catalogueOperation: Operation = {
  call: 'GET /resources',
  tag: 'resources',
  summary: 'What kinds of things there are, and how they are shown',
  status: 200,
  answer: listOf(catalogueEntrySchema.meta({ id: 'Resource' })),
  errors: [],
};
