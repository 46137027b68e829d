import type { Knex } from 'knex';
import { z } from 'zod';
import {
  MOST_OFFERS,
  promptSchema,
  resourceSchema,
  templateSchema,
  type OfferKind,
  type Offers,
  type Prompt,
  type Resource,
  type Template,
} from '../../mcp/offers.ts';
import { stateOf, type PinState } from '../../mcp/pinned/pins.ts';
import { storableJson } from '../../text/storable.ts';
import { NOT_KEPT, withPins } from './pinned/pins.ts';

/** What a server has of a kind, under its name or URI there. */
export interface NameOf {
  serverId: string;
  name: string;
  /** Of the project for which it was asked. */
  state: PinState;
}

export interface OfferOf<Offer> extends NameOf {
  offer: Offer;
}

/** What is asked for: in which project, of which of its servers. */
export interface OffersAsked<Kind extends OfferKind> {
  projectId: string;
  serverIds: readonly string[];
  kind: Kind;
  /** These alone; all, unless told. */
  names?: readonly string[];
}

interface OffersByKind {
  prompt: Prompt;
  resource: Resource;
  template: Template;
}

const schemas = { prompt: promptSchema, resource: resourceSchema, template: templateSchema } as const;
/** As its project sees it: a row of `withPins`. */
export const pinnedRowSchema = z.object({
  serverId: z.string(),
  name: z.string(),
  hash: z.string(),
  approvedHash: z.string().nullable(),
  isPinned: z.boolean(),
});
const rowSchema = pinnedRowSchema.extend({ definition: z.string() });

export const nameOf = ({ serverId, name, ...pinned }: z.infer<typeof pinnedRowSchema>): NameOf => ({
  ...{ serverId, name },
  state: stateOf(pinned),
});

function offered(db: Knex, { projectId, serverIds, kind, names }: OffersAsked<OfferKind>): Knex.QueryBuilder {
  const query = withPins(db, projectId, 'offers')
    .whereIn('t.serverId', [...serverIds])
    .where({ 't.kind': kind, 't.gone': false })
    .orderBy(['t.firstSeenAt', 't.position', 't.name']);
  return names ? query.whereIn('t.name', [...names]) : query;
}

/** What it is called, of all of one kind that some servers have. */
export const listOfferNames = async (db: Knex, asked: OffersAsked<OfferKind>): Promise<NameOf[]> =>
  asked.serverIds.length === 0
    ? []
    : z
        .array(pinnedRowSchema)
        .parse(await offered(db, asked))
        .map(nameOf);

/** All of one kind that some servers have, those first that were seen first. */
export async function listOffers<Kind extends OfferKind>(
  db: Knex,
  asked: OffersAsked<Kind>,
): Promise<OfferOf<OffersByKind[Kind]>[]> {
  if (asked.serverIds.length === 0) return [];
  const rows = z.array(rowSchema).parse(await offered(db, asked).select('t.definition'));
  return rows.flatMap((row) => {
    // One that another release kept in another form is not shown.
    const offer = schemas[asked.kind].safeParse(JSON.parse(row.definition));
    return offer.success ? [{ ...nameOf(row), offer: offer.data as OffersByKind[Kind] }] : [];
  });
}

/**
 * What of a server is not there any more: its name, and no more of it. It may come back under its old place: of those that are gone as many are remembered as
 * there may be, those that were seen first last.
 */
export async function keepGone(
  trx: Knex.Transaction,
  { table, of }: { table: 'serverTools' | 'serverOffers'; of: { serverId: string; kind?: OfferKind } },
  { names, most }: { names: readonly string[]; most: number },
): Promise<void> {
  const others = () =>
    trx(table)
      .where(of)
      .whereNotIn('name', [...names]);
  const left = await others().where('gone', false).update({ gone: true, definition: NOT_KEPT });
  if (left === 0) return;
  const old = others()
    .where('gone', true)
    .orderBy([
      { column: 'firstSeenAt', order: 'desc' },
      { column: 'position', order: 'desc' },
    ])
    .offset(most)
    .select('name');
  await others().whereIn('name', old).delete();
}

/** What a server's worker has told of it is what there is. */
export async function keepOffers(
  trx: Knex.Transaction,
  serverId: string,
  { prompts, resources, templates }: Offers,
): Promise<void> {
  await keep(
    trx,
    { serverId, kind: 'prompt' },
    prompts.map((prompt) => [prompt.name, prompt]),
  );
  await keep(
    trx,
    { serverId, kind: 'resource' },
    resources.map((resource) => [resource.uri, resource]),
  );
  await keep(
    trx,
    { serverId, kind: 'template' },
    templates.map((template) => [template.uriTemplate, template]),
  );
}

async function keep(
  trx: Knex.Transaction,
  of: { serverId: string; kind: OfferKind },
  entries: readonly (readonly [name: string, offer: object])[],
): Promise<void> {
  const offers = new Map(
    entries.map(([name, offer]) => [name.replaceAll('\u0000', '').toWellFormed(), offer]),
  );
  const names = [...offers.keys()];
  await keepGone(trx, { table: 'serverOffers', of }, { names, most: MOST_OFFERS[of.kind] });
  if (offers.size === 0) return;
  // Its position is where it was first seen: of two that would be called alike the one that came first stays that.
  await trx('serverOffers')
    .insert(
      [...offers].map(([name, offer], position) => ({
        ...of,
        name,
        definition: JSON.stringify(storableJson(offer)),
        position,
        gone: false,
      })),
    )
    .onConflict(['serverId', 'kind', 'name'])
    .merge(['definition', 'gone']);
}
