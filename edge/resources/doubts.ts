import { z } from 'zod';
import { can, type Actor } from '../../core/access.ts';
import { grantText } from '../../core/access/covers.ts';
import type { Grant } from '../../core/access/grants.ts';
import { nowhere } from '../../core/access/standing.ts';
import { resources, type Resource } from '../../core/resources/index.ts';

const danglingSchema = z.array(z.string()).catch([]);

/** What was written as it was said, and perhaps not as it was meant: by the words of resources, of one as it is shown. */
export const doubts: Readonly<Record<string, (view: Readonly<Record<string, unknown>>) => string[]>> = {
  rbac: (view) => danglingSchema.parse(view['dangling']).map(nowhere),
};

const isResource = (word: string): word is Resource => Object.hasOwn(resources, word);

/** Of grants that lead nowhere those that may be told of: of what one may see, or it would tell of the rest. */
export const tellable = (gone: readonly Grant[], actor: Actor): string[] =>
  gone
    .filter(
      ({ resource, name }) =>
        isResource(resource) && can(actor, 'view', { resource, target: { ...(name !== null && { name }) } }),
    )
    .map(grantText);
