import { z } from 'zod';
import { canDo, type Actor } from '../../access.ts';
import type { RestoreBody } from '../../backup/calls.ts';
import {
  MOST_RESTORED,
  type BackupDocument,
  type BackupHeader,
  type BackupTrailer,
} from '../../backup/format.ts';
import { holderOf, labelOf, ofServer, type Kind } from '../../declared/kinds.ts';
import { withoutRetired } from '../../declared/retired.ts';
import { McpctlError, type Fault } from '../../errors.ts';
import { MOST_MEMBERS, userNameSchema } from '../../resources/people/identity.ts';
import { secret } from '../../resources/people/secret.ts';
import { BackupReader, documentIn, isGenuine } from '../../runtime/backup/lines.ts';
import { openAll } from '../../runtime/keyring/envelope.ts';
import { keyringOf, type Keyring } from '../../runtime/keyring/keyring.ts';
import { nearest } from '../../runtime/nearest.ts';
import { loopTurn } from '../../text/loop-turns.ts';
import type { Values } from '../resources/rows.ts';
import { sealedVersionSchema } from '../secrets/versions.ts';

/** So many documents are one slice of work. */
const A_TURN = 64;
const MOST_FAULTS = 50;

/** A document that is to be restored; its values have passed its kind's schema. */
export interface Chosen {
  kind: Kind;
  document: BackupDocument;
  values: Values;
  /** Members of a group that are more than a document of one may name otherwise. */
  many?: readonly string[];
}

const nameOf = ({ name, poolKey }: BackupDocument): string | undefined =>
  [name, poolKey].find((each) => typeof each === 'string');

/** What people call it. */
const calledOf = (document: BackupDocument): string => nameOf(document) ?? String(document.id);

/** How one is told of; of several users' own of one name, with whose it is. */
export function aboutOf(
  kind: Kind,
  document: BackupDocument,
): { resource: string; name: string; of?: string } {
  const { owner } = document;
  const isOwned = kind.key === 'id' && typeof owner === 'string';
  const of = holderOf(kind, document) ?? (isOwned ? `user ${owner}` : undefined);
  return { resource: kind.word, name: calledOf(document), ...(of !== undefined && { of }) };
}

/** Of a document, what is held of it until its turn: many are much larger when they are read. */
interface Line {
  resource: string;
  text: string;
}

export interface WholeBackup {
  header: BackupHeader;
  trailer: BackupTrailer;
  documents: Line[];
  tokens: BackupDocument[];
  /** Characters of its lines. */
  size: number;
}

/** A backup as it comes. */
export interface BackupSource extends Pick<RestoreBody, 'only' | 'name'> {
  /** Its lines without their line feeds. */
  lines: Iterable<string> | AsyncIterable<string>;
  /** So many documents are taken. */
  most: number;
}

const near = (name: string, names: ReadonlySet<string>): string => {
  const [other] = nearest(name, names, 1);
  return other === undefined ? '' : `; did you mean ${other}?`;
};

/** What of a backup is asked for, and whether it was there: what is not there is said, not left out in silence. */
class Wanted {
  readonly #only: ReadonlySet<string> | undefined;
  readonly #names: ReadonlySet<string> | undefined;
  readonly #words = new Set<string>();
  readonly #called = new Set<string>();

  constructor({ only, name }: Pick<BackupSource, 'only' | 'name'>) {
    if (only) this.#only = new Set(only);
    if (name !== undefined) this.#names = new Set([name].flat());
  }

  has(document: BackupDocument): boolean {
    if (this.#only?.has(document.resource) === false) return false;
    this.#words.add(document.resource);
    if (!this.#names) return true;
    const called = nameOf(document);
    if (called !== undefined) this.#called.add(called);
    return called !== undefined && this.#names.has(called);
  }

  /** @throws McpctlError `invalid_request` with each that was not. */
  needAll(): void {
    const words = [...(this.#only ?? [])].filter((word) => !this.#words.has(word));
    const names = [...(this.#names ?? [])].filter((name) => !this.#called.has(name));
    const faults = [
      ...words.map((word) => ({ path: 'only', message: `there is no ${word} in the backup` })),
      ...names.map((name) => ({
        path: 'name',
        message: `nothing of that is called '${name}' in the backup${names.length === 1 ? near(name, this.#called) : ''}`,
      })),
    ];
    if (faults.length > 0) throw invalid(faults);
  }
}

/**
 * All of a backup, once it was seen to be whole, and this release to know all of it; what is not asked for is left out.
 * @throws McpctlError `backup_damaged`, `backup_newer`, `body_too_large`, `invalid_request`
 */
export async function readWhole(
  { lines, most, only, name }: BackupSource,
  { kinds, app, owner }: { kinds: readonly Kind[]; app: string; owner: string },
): Promise<WholeBackup> {
  const words = new Set([...kinds.map(({ word }) => word), 'token']);
  const strange = only?.find((word) => !words.has(word));
  if (strange !== undefined)
    throw invalid([{ path: 'only', message: `must be of ${[...words].join(', ')}` }]);
  const wanted = new Wanted({ only, name });
  const reader = new BackupReader();
  const [documents, tokens]: [Line[], BackupDocument[]] = [[], []];
  let [count, size] = [0, 0];
  for await (const line of lines) {
    const document = reader.take(line);
    count += 1;
    size += line.length;
    if (count % A_TURN === 0) await loopTurn(owner);
    if (!document) continue;
    const { resource } = document;
    if (!words.has(resource))
      throw new McpctlError(
        'backup_newer',
        `The backup is of mcpctl ${reader.header.app} and holds '${resource.slice(0, 64)}', which this release, ${app}, does not know; update it first.`,
      );
    if (reader.documents > most)
      throw new McpctlError(
        'body_too_large',
        `A restore takes at most ${most} documents, whatever of it is chosen; on the machine itself "mcpd restore" takes more.`,
      );
    if (!wanted.has(document)) continue;
    if (resource === 'token') tokens.push(document);
    else documents.push({ resource, text: line });
  }
  const whole = reader.end();
  wanted.needAll();
  return { ...whole, documents, tokens, size };
}

const invalid = (details: readonly Fault[]): McpctlError =>
  new McpctlError('invalid_request', undefined, { details: details.slice(0, MOST_FAULTS) });

const manySchema = z
  .array(userNameSchema)
  .min(MOST_MEMBERS + 1)
  .max(MOST_RESTORED);

const manyMembers = ({ word }: Kind, { members }: Values): string[] | undefined =>
  word === 'group' ? manySchema.safeParse(members).data : undefined;

/** What is to be restored, of which a part is read at a time. */
export interface ToRestore {
  count: number;
  kinds: ReadonlySet<Kind>;
  /** In the order in which they are made, each read anew. @param word those of one kind alone. */
  each(word?: string): Iterable<Chosen>;
}

/** @throws McpctlError `invalid_request` with what is wrong with it. */
function readOne(kind: Kind, document: BackupDocument): Chosen {
  const passed = new Set(['resource', 'sealed', 'owner', 'revision', ...ofServer(kind)]);
  const { fields } = withoutRetired(kind.word, document);
  const many = manyMembers(kind, fields);
  const own = Object.entries(fields).filter(([name]) => !passed.has(name) && !(many && name === 'members'));
  const { success, data, error } = kind.schemas.create.safeParse(Object.fromEntries(own));
  if (success) return { kind, document, values: data, ...(many && { many }) };
  throw invalid(
    error.issues.map(({ path, message }) => ({
      path: `${labelOf(aboutOf(kind, document))} ${path.map(String).join('.')}`.trim(),
      message,
    })),
  );
}

/** Each is read once before any is made. @throws McpctlError `invalid_request` with what is wrong with every document. */
export async function choose(
  { documents, header }: Pick<WholeBackup, 'documents' | 'header'>,
  { kinds, owner }: { kinds: readonly Kind[]; owner: string },
): Promise<ToRestore> {
  const ordered = kinds.flatMap((kind) =>
    documents.filter(({ resource }) => resource === kind.word).map(({ text }) => ({ kind, text })),
  );
  const read = ({ kind, text }: { kind: Kind; text: string }): Chosen =>
    readOne(kind, documentIn(text, header.format));
  const faults: Fault[] = [];
  for (const [at, one] of ordered.entries()) {
    if (at % A_TURN === 0) await loopTurn(owner);
    try {
      read(one);
    } catch (thrown) {
      if (!(thrown instanceof McpctlError)) throw thrown;
      if (faults.length < MOST_FAULTS) faults.push(...(thrown.details ?? []));
    }
  }
  if (faults.length > 0) throw invalid(faults);
  return {
    count: ordered.length,
    kinds: new Set(ordered.map(({ kind }) => kind)),
    *each(word) {
      for (const one of ordered) if (word === undefined || one.kind.word === word) yield read(one);
    },
  };
}

interface Opening {
  header: BackupHeader;
  trailer: BackupTrailer;
  /** Of portable secrets. */
  key: string | undefined;
  keyring: Keyring | null;
  actor: Actor;
}

/**
 * Secrets with their values, which are nowhere but in memory. Those that open with a key of this installation stand as they
 * were made, which only that key can say; else whoever may not reveal one could have it go where they want.
 * @throws McpctlError `backup_key_missing` before anything is opened; `forbidden`, `secret_undecryptable`.
 */
export function openSecrets(chosen: ToRestore, opening: Opening): ToRestore {
  const { header, trailer, key, keyring, actor } = opening;
  const portable = key === undefined ? null : keyringOf([key]).active;
  const held = new Map([...(keyring?.byKid ?? []), ...(portable ? [[portable.kid, portable] as const] : [])]);
  const sealedIn = ({ document }: Chosen) => sealedVersionSchema.safeParse(document['sealed']).data;
  const used = new Set<string>();
  for (const each of chosen.each(secret.word)) used.add(sealedIn(each)?.kid ?? '');
  const kids = [...used].filter((kid) => kid !== '');
  const lacking = kids.filter((kid) => !held.has(kid));
  if (lacking.length > 0)
    throw new McpctlError(
      'backup_key_missing',
      `The secrets of the backup are kept under key ${lacking.join(', ').slice(0, 200)}, which is not here; put it behind the first one of the keyring, or leave secrets out with --only.`,
    );
  const isOurs = kids.some((kid) => kid !== portable?.kid);
  if (isOurs && isGenuine(trailer, keyring) !== true && !canDo(actor, 'reveal'))
    throw new McpctlError(
      'forbidden',
      'The backup was changed after it was made, or its seal cannot be checked: to restore its secrets takes the operation reveal.',
    );
  const [active] = held.values();
  const opened = (each: Chosen): Chosen => {
    const version = each.kind.word === secret.word ? sealedIn(each) : undefined;
    if (!version || !active) return each;
    const { id = '', name, version: number } = each.document;
    const place = {
      ...{ installation: header.installation, secretId: id, name: String(name) },
      version: z.int().catch(0).parse(number),
    };
    return { ...each, values: { ...each.values, data: openAll({ active, byKid: held }, place, version) } };
  };
  return {
    ...chosen,
    *each(word) {
      for (const each of chosen.each(word)) yield opened(each);
    },
  };
}
