import { hostname } from 'node:os';
import { z } from 'zod';
import { suggestProviders, type SuggestedProvider } from '../../core/discover/suggest.ts';
import type { FoundBackend } from '../../core/discover/probes.ts';
import { McpctlError } from '../../core/errors.ts';
import { MOST_PUBLISHED } from '../../core/member/protocol.ts';
import { changeConfig, writtenConfig } from '../install/config-file.ts';
import { abilitiesOf, lengthText, look } from './detect.ts';
import { readQuietHours } from '../owner/quiet-hours.ts';
import { agree, ask, choose, type Face } from './face.ts';

const entrySchema = z.looseObject({
  name: z.string().optional(),
  url: z.string().optional(),
  model: z.string().optional(),
  publish: z.unknown().optional(),
});
const fileSchema = z.looseObject({ providers: z.array(entrySchema).default([]) });
/** config.json as somebody has written it: what is not understood here stays as it is. */
type ConfigFile = z.infer<typeof fileSchema>;

interface Offered extends SuggestedProvider {
  model: string;
  chat: boolean;
  line: string;
}

const publishedOf = (providers: ConfigFile['providers']): number =>
  providers.filter(({ publish }) => publish === true).length;

const isIn =
  ({ providers }: ConfigFile) =>
  (url: string, model: string): boolean =>
    providers.some((entry) => entry.model === model && (entry.url === undefined || entry.url === url));

/** What of a machine may be shared and is not in the file yet, whoever else has a name there. */
function offeredBy(
  backends: readonly FoundBackend[],
  file: ConfigFile,
  pools: readonly string[] | undefined,
): Offered[] {
  const { providers } = file;
  const taken = providers.flatMap(({ name }) => name ?? []);
  const most = MOST_PUBLISHED - publishedOf(providers);
  return suggestProviders(backends, hostname(), { taken, others: true, isThere: isIn(file), most }).map(
    ({ provider, model }) => {
      const poolName =
        pools === undefined || pools.includes(provider.poolName) ? provider.poolName : pools[0];
      const of = { ...provider, poolName: poolName ?? provider.poolName };
      const facts = [lengthText(model.contextLength).padStart(5), abilitiesOf(model).padEnd(13)].join('  ');
      const line = `${of.model.padEnd(24)} ${of.type.padEnd(9)}${facts} pool ${of.poolName}  as ${of.name}`;
      return { ...of, chat: model.chat, line };
    },
  );
}

async function chosen(face: Face, offered: readonly Offered[]): Promise<Offered[]> {
  const usual = offered.map(({ chat }) => chat);
  if (face.yes) return offered.filter((_, n) => usual[n]);
  if (!face.asks)
    throw new McpctlError(
      'usage',
      'Nobody can be asked here which models to share: say --yes for every one that can chat.',
    );
  face.say(
    'Which do you want to share?  Space marks, A all or none, Enter goes on. Nothing is shared until you do.',
  );
  const marks = await choose(
    face,
    offered.map(({ line }) => line),
    usual,
  );
  return offered.filter((_, n) => marks[n]);
}

/** Who may be asked says who comes first, where that is not in the file yet; `yes` leaves it as it is. */
async function askWhoIsFirst(face: Face, file: ConfigFile): Promise<Partial<ConfigFile>> {
  if (!face.asks) return {};
  const isFirst =
    'ownerFirst' in file ||
    (await agree(face, "Do you come first? While you or your programs use it, others' calls wait.", true));
  const first = 'ownerFirst' in file ? {} : { ownerFirst: isFirst };
  if ('quiet' in file) return first;
  for (;;) {
    const hours = await ask(face, 'Hours that are yours alone? (like Mon-Fri 9-18, Enter for none) > ');
    if (hours === '') return first;
    if (readQuietHours(hours) !== null) return { ...first, quiet: [hours] };
    face.say(`'${hours}' is none: write days and hours, like Mon-Fri 9-18, or 22:00-6.`);
  }
}

/** Why nothing that was found is offered. */
const nothingMore = ({ providers }: ConfigFile): string =>
  publishedOf(providers) < MOST_PUBLISHED
    ? 'Every model that was found and can be shared is in config.json already.'
    : `config.json shares ${String(MOST_PUBLISHED)} models, which is as many as one machine may.`;

export interface Shared {
  file: string;
  added: SuggestedProvider[];
}

/**
 * Looks for models on this machine and writes those that its owner shares into config.json, beside what is there. Sends nothing.
 * @param pools those that this machine may publish in; undefined: it has not joined yet.
 * @throws McpctlError `setup_failed` where no model runs here, `usage` where nobody can be asked, and as `changeConfig`.
 */
export async function init(face: Face, pools?: readonly string[]): Promise<Shared> {
  const file = fileSchema.parse(writtenConfig(face.home.config)); // what is wrong is said before anything is asked
  const backends = await look(face);
  if (backends.every(({ models }) => models.length === 0))
    throw new McpctlError(
      'setup_failed',
      'No model server answers on this machine. Start one, such as Ollama or LM Studio, and run "mcplocal init" again; one elsewhere is written into config.json by hand (docs/providers.md).',
    );
  const offered = offeredBy(backends, file, pools);
  const picked = offered.length === 0 ? [] : await chosen(face, offered);
  let added = picked.map(({ chat: _chat, line: _line, ...entry }) => entry);
  if (added.length > 0) {
    const first = await askWhoIsFirst(face, file);
    // Somebody may have written into the file while this was asked.
    changeConfig(face.home.config, (config) => {
      const now = fileSchema.parse(config);
      const isThere = isIn(now);
      added = added.filter(({ url, model }) => !isThere(url, model));
      return { ...first, ...config, providers: [...now.providers, ...added] };
    });
  }
  if (offered.length === 0) face.say(nothingMore(file));
  for (const { name, poolName } of added) face.say(`Shared as ${name}, in the pool ${poolName}.`);
  if (added.length > 0)
    face.say(
      "Others' prompts will be sent to this machine, and you can read them. Your key and address stay here.",
    );
  const did = added.length > 0 ? 'Wrote' : 'Nothing was written into';
  face.say(`${did} ${face.home.config}.`);
  return { file: face.home.config, added };
}

/** What is shared already goes into another pool. @param names entries of config.json. */
export function moveTo(face: Face, pool: string, names: readonly string[]): void {
  changeConfig(face.home.config, (config) => {
    const providers = fileSchema
      .parse(config)
      .providers.map((entry) => (names.includes(entry.name ?? '') ? { ...entry, poolName: pool } : entry));
    return { ...config, providers };
  });
}
