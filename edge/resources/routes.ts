import { Router, type Request, type RequestHandler, type Response } from 'express';
import { z } from 'zod';
import { can, type Actor } from '../../core/access.ts';
import { withoutRetired } from '../../core/declared/retired.ts';
import { isCallable } from '../../core/names.ts';
import { listQuerySchema } from '../../core/page.ts';
import { catalogueEntry } from '../../core/resources/catalogue.ts';
import {
  deleteQuerySchema,
  handOverQuerySchema,
  keySchema,
  type Definition,
  type TakenView,
} from '../../core/resources/define.ts';
import { listed } from '../../core/resources/index.ts';
import { labelOf, type Written } from '../../core/registry/resources/writing.ts';
import { targetOf, type ResourceRow, type Values } from '../../core/registry/resources/rows.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { afterOf, bodyOf, cursorOf, ifMatchOf, queryOf, showRevision } from '../http/parse.ts';
import { written } from '../http/written.ts';
import { takeTurn } from '../limits/turns.ts';
import { doubts } from './doubts.ts';

/** What the API shows of rows: no secret field, a hidden one to who may edit it alone, and what is laid over them last. */
export async function viewsOf(
  deps: EdgeDeps,
  definition: Definition,
  { rows, actor }: { rows: readonly ResourceRow[]; actor: Actor },
) {
  const { word, fields } = definition;
  const over = (await deps.resources.overlays[word]?.(rows, deps, actor)) ?? [];
  return rows.map((row, at) => {
    const { id, ownerId, owner, revision, createdAt, updatedAt } = row;
    const seesAll = can(actor, 'edit', { resource: definition, target: targetOf(row) });
    const isShown = (name: string): boolean => !fields[name]?.secret && (seesAll || !fields[name]?.hidden);
    const values = Object.entries(row.values).filter(([name]) => isShown(name));
    const stamps = { createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString() };
    return { id, ...Object.fromEntries(values), ownerId, owner, revision, ...stamps, ...over[at] };
  });
}

const keyOf = ({ key }: Definition, row: ResourceRow): string => (key === 'id' ? row.id : labelOf(row));

const pageSchema = z.object(listQuerySchema.shape);
const filtersSchema = z.record(z.string(), z.string().optional());

async function pageOf(deps: EdgeDeps, definition: Definition, req: Request) {
  const isLong = Object.values(definition.fields).some(({ long }) => long);
  await takeTurn(isLong ? deps.gates.largeAnswers : deps.gates.lists, req);
  const asked = queryOf(req, definition.schemas.query);
  const { limit, after } = pageSchema.parse(asked);
  const named = Object.entries(asked).filter(([name]) => definition.filters.includes(name));
  const { rows, more } = await deps.registry.resources(definition).list({
    actor: actorOf(req),
    filters: filtersSchema.parse(Object.fromEntries(named)),
    after: afterOf(after, keySchema(definition)),
    limit,
  });
  const last = rows.at(-1);
  return {
    items: await viewsOf(deps, definition, { rows, actor: actorOf(req) }),
    next: more && last ? cursorOf(keyOf(definition, last)) : null,
  };
}

/** What cannot be a name or an id is in no event. */
const sayable = (name: unknown): string => (typeof name === 'string' && isCallable(name) ? name : '');

const changedOf = ({ changed }: Written) => ({ changed });

/** What is to be written, and what is said of fields that are no more. */
function readValues(req: Request, word: string, schema: z.ZodObject): { values: Values; warnings: string[] } {
  const warnings: string[] = [];
  const values = bodyOf(req, schema, {
    passOver: (all) => {
      const { fields, warnings: own } = withoutRetired(word, all);
      warnings.push(...own);
      return fields;
    },
  });
  return { values, warnings };
}

/** The calls of one resource; edge/resources/operations.ts tells of the same. */
function serve(router: Router, deps: EdgeDeps, definition: Definition): void {
  const { plural, word, key, schemas } = definition;
  const [all, one] = [`/${plural}`, `/${plural}/:${key}`];
  const askedIn = (req: Request): string => String(req.params[key]);
  const store = deps.registry.resources(definition);
  const byOf = (req: Request) => ({ actor: actorOf(req), ifMatch: ifMatchOf(req) });
  /** @param passedOver undefined: nothing was written. */
  const answer = async (res: Response, row: ResourceRow, passedOver?: readonly string[]): Promise<void> => {
    const [view] = await viewsOf(deps, definition, { rows: [row], actor: actorOf(res.req) });
    const warnings = passedOver && view ? [...passedOver, ...(doubts[word]?.(view) ?? [])] : [];
    showRevision(res, row);
    res.json(warnings.length > 0 ? { ...view, warnings } : view);
  };
  /** Writes, tells of it with the names of the fields that were written, and answers. */
  const write = async (
    [req, res]: [Request, Response],
    { verb, name, warnings }: { verb: 'create' | 'edit'; name: unknown; warnings: readonly string[] },
    work: () => Promise<Written>,
  ): Promise<void> => {
    const what = { verb, resource: word, name: sayable(name) };
    const { row, created } = await written({ ...deps, req, detailOf: changedOf }, what, work);
    if (created) res.status(201).location(`/api/v1/${plural}/${keyOf(definition, row)}`);
    await answer(res, row, warnings);
  };

  router.get(all, async (req, res) => void res.json(await pageOf(deps, definition, req)));
  router.get(one, async (req, res) => answer(res, await store.get(askedIn(req), actorOf(req))));
  router.post(all, async (req, res) => {
    const { values, warnings } = readValues(req, word, schemas.create);
    await write([req, res], { verb: 'create', name: values['name'], warnings }, () =>
      store.create(values, actorOf(req)),
    );
  });
  const editing =
    (how: 'replace' | 'change'): RequestHandler =>
    async (req, res) => {
      const [{ values, warnings }, by] = [readValues(req, word, schemas[how]), byOf(req)];
      const work = () => store[how](askedIn(req), values, by);
      await write([req, res], { verb: 'edit', name: askedIn(req), warnings }, work);
    };
  router.put(one, editing('replace'));
  router.patch(one, editing('change'));
  router.delete(one, async (req, res) => {
    const { dryRun, transferTo } = definition.isHandedOver
      ? queryOf(req, handOverQuerySchema)
      : { ...queryOf(req, deleteQuerySchema), transferTo: undefined };
    const by = { ...byOf(req), transferTo };
    if (dryRun === 'true') {
      const { taken } = await store.delete(askedIn(req), { ...by, dryRun: true });
      const { deletes = [], clears = [] } = taken ?? {};
      return void res.json({ resource: word, name: askedIn(req), deletes, clears } satisfies TakenView);
    }
    const what = { verb: 'delete', resource: word, name: sayable(askedIn(req)) } as const;
    await written({ ...deps, req }, what, () => store.delete(askedIn(req), by));
    res.status(204).end();
  });
}

/** `/api/v1/resources`, and what each definition brings: `/api/v1/<plural>`. */
export function resourceRoutes(deps: EdgeDeps): Router {
  const router = Router();
  const { definitions } = deps.resources;
  const others = listed.filter(({ word }) => definitions.every((definition) => definition.word !== word));
  const items = [...others, ...definitions].map(catalogueEntry);
  router.get('/resources', (_req, res) => void res.json({ items, next: null }));
  for (const definition of definitions) serve(router, deps, definition);
  return router;
}
