import { z } from 'zod';
import { templateSchema, type Template, type TemplateView } from '../../mcp/hosted/template.ts';
import { instantSchema } from '../../newer-words.ts';
import type { Connection } from '../database/connect.ts';

/** A template as a file of the release says it. */
export interface TemplateFile {
  template: Template;
  /** Of the file's bytes. */
  sha256: string;
}

export interface Templates {
  /** By name. */
  list(page: { after: string | undefined; limit: number }): Promise<TemplateView[]>;
  byName(name: string): Promise<TemplateView | undefined>;
  /** Of those of these that a release has. */
  versions(names: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /**
   * Those of a release are what there is: others stay, retired. @param unread names of those that it has and cannot read, which stay
   * as they are. @returns the names of those that were written.
   */
  seed(files: readonly TemplateFile[], unread?: readonly string[]): Promise<string[]>;
}

const rowSchema = z.object({
  definition: templateSchema,
  sha256: z.string(),
  status: z.enum(['active', 'retired']),
  createdAt: instantSchema,
  updatedAt: instantSchema,
});

/** One that another release wrote in another form is not shown. */
function viewOf(row: unknown): TemplateView[] {
  const { data } = rowSchema.safeParse(row);
  if (!data) return [];
  const { definition, createdAt, updatedAt, ...rest } = data;
  return [{ ...definition, ...rest, createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString() }];
}

export function createTemplates({ db, transaction }: Connection): Templates {
  return {
    async list({ after, limit }) {
      const query = db('templates').orderBy('name').limit(limit);
      if (after !== undefined) query.where('name', '>', after);
      return ((await query) as unknown[]).flatMap(viewOf);
    },
    byName: async (name) => viewOf(await db('templates').where({ name }).first())[0],
    async versions(names) {
      if (names.length === 0) return new Map();
      const rows = await db('templates')
        .whereIn('name', [...names])
        .where({ status: 'active' })
        .select<{ name: string; version: string }[]>('name', db.raw(`definition ->> 'version' as version`));
      return new Map(rows.map(({ name, version }) => [name, version]));
    },
    seed: (files, unread = []) =>
      transaction(async (trx) => {
        if (files.length === 0) return [];
        const names = files.map(({ template }) => template.name);
        const retired = await trx('templates')
          .whereNotIn('name', [...names, ...unread])
          .where({ status: 'active' })
          .update({ status: 'retired', updatedAt: trx.fn.now() })
          .returning<{ name: string }[]>('name');
        const written = await trx('templates')
          .insert(
            files.map(({ template, sha256 }) => ({
              name: template.name,
              definition: JSON.stringify(template),
              sha256,
              status: 'active',
            })),
          )
          .onConflict('name')
          .merge({
            definition: trx.raw('excluded.definition'),
            sha256: trx.raw('excluded.sha256'),
            status: 'active',
            updatedAt: trx.fn.now(),
          })
          .whereRaw(`templates.sha256 <> excluded.sha256 or templates.status <> 'active'`)
          .returning<{ name: string }[]>('name');
        return [...retired, ...written].map(({ name }) => name).sort();
      }),
  };
}
