import { Router, type Request } from 'express';
import { applySchema } from '../../core/declared/apply.ts';
import { McpctlError, type Fault } from '../../core/errors.ts';
import type { Definition } from '../../core/resources/define.ts';
import type { Applied, Document } from '../../core/registry/resources/apply.ts';
import { nearest } from '../../core/runtime/nearest.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { bodyOf, faultsIn } from '../http/parse.ts';
import { tellWritten, written } from '../http/written.ts';

const MOST_MIB = 4;
const MOST_FAULTS = 50;

/** What the server writes of each, and passes over where it is read back. */
const ofServer = ({ schemas }: Definition): string[] => {
  const own = Object.keys(schemas.create.shape);
  return Object.keys(schemas.view.shape).filter((name) => !own.includes(name));
};

/** @throws McpctlError `invalid_request` with what is wrong with every document. */
function documentsIn(
  said: readonly ({ resource: string } & Record<string, unknown>)[],
  definitions: readonly Definition[],
): Document[] {
  const faults: Fault[] = [];
  const documents: Document[] = [];
  for (const [at, { resource, ...fields }] of said.entries()) {
    const place = `documents.${at}`;
    const definition = definitions.find(({ word }) => word === resource);
    if (!definition) {
      faults.push({ path: `${place}.resource`, message: unknown(definitions, resource) });
      continue;
    }
    const server = new Set(ofServer(definition));
    const own = Object.fromEntries(Object.entries(fields).filter(([name]) => !server.has(name)));
    const parsed = definition.schemas.create.safeParse(own);
    if (parsed.success) documents.push({ definition, values: parsed.data });
    else
      for (const { path, message } of faultsIn(parsed.error, definition.schemas.create))
        faults.push({ path: path === '' ? place : `${place}.${path}`, message });
  }
  if (faults.length === 0) return documents;
  throw new McpctlError('invalid_request', undefined, { details: faults.slice(0, MOST_FAULTS) });
}

function unknown(definitions: readonly Definition[], resource: string): string {
  const words = definitions.map(({ word }) => word);
  const [near] = nearest(resource, words, 1);
  return near
    ? `is nothing that can be applied; did you mean ${near}?`
    : `must be one of ${words.join(', ')}`;
}

async function apply(deps: EdgeDeps, req: Request) {
  const { documents: said, dryRun } = bodyOf(req, applySchema, { mostMiB: MOST_MIB });
  const documents = documentsIn(said, deps.resources.definitions);
  const asked = { documents, dryRun, actor: actorOf(req) };
  const what = { verb: 'edit', resource: 'apply', name: dryRun ? 'dry-run' : '' } as const;
  const items = await written({ ...deps, req }, what, () => deps.registry.apply(asked));
  // Each is a write as if it had been made alone: who listens for one of a resource hears it (edge/believed/identity-watch.ts).
  for (const { resource, name, outcome, changed } of dryRun ? [] : items) {
    if (outcome === 'unchanged') continue;
    const verb = outcome === 'created' ? 'create' : 'edit';
    tellWritten({ ...deps, req }, { verb, resource, name, changed, outcome: 'ok' });
  }
  return { dryRun, warnings: await warningsOf(deps, items), items };
}

/** A document of before something was renamed makes another of that name, which has nothing of it. */
async function warningsOf({ registry }: EdgeDeps, items: readonly Applied[]): Promise<string[]> {
  const of = async (kind: 'user' | 'group'): Promise<string[]> => {
    const made = items.filter(({ resource, outcome }) => resource === kind && outcome === 'created');
    const names = await registry.groups.namesNow(
      kind,
      made.map(({ name }) => name),
    );
    return [...names].map(
      ([name, now]) =>
        `The ${kind} '${name}' is a new one, without ${kind === 'group' ? 'members and rights' : 'rights and tokens'}: the one of before is called '${now}' now.`,
    );
  };
  return [...(await of('user')), ...(await of('group'))];
}

/** `POST /api/v1/apply`: many resources as they are to be, all of them or none. */
export function applyRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.post('/apply', async (req, res) => void res.json(await apply(deps, req)));
  return router;
}
