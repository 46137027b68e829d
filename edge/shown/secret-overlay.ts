import { seesReferrer } from '../../core/registry/secrets/referrers.ts';
import { keySizesSchema, type Masked } from '../../core/resources/people/secret.ts';
import { versionOf } from '../../core/registry/secrets/versions.ts';
import type { Overlay } from '../resources/overlay.ts';

/** A secret with masks in place of its values, and those that use it and may be seen. */
export const secretOverlay: Overlay = async (rows, { registry }, actor) => {
  const referrers = await registry.secrets.referrers(rows.map(({ id }) => id));
  return rows.map((row) => {
    const version = versionOf(row);
    const data = keySizesSchema
      .parse(row.values['keys'])
      .map(({ name, bytes }): [string, Masked] => [name, { masked: true, bytes, version }]);
    const usedBy = referrers
      .filter((referrer) => referrer.secretId === row.id && seesReferrer(actor, referrer))
      .map(({ name, key }) => ({ resource: 'llm', name, key }));
    return { data: Object.fromEntries(data), usedBy };
  });
};
