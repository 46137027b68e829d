import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { z } from 'zod';
import {
  documentSchema,
  headerSchema,
  needKnownFormat,
  trailerSchema,
  upgraded,
  type BackupDocument,
  type BackupHeader,
  type BackupTrailer,
} from '../../backup/format.ts';
import { McpctlError } from '../../errors.ts';
import type { Keyring, WrappingKey } from '../keyring/keyring.ts';

const damaged = (why: string): McpctlError =>
  new McpctlError('backup_damaged', `This is no whole backup of mcpctl: ${why}.`);

function parsed<S extends z.ZodType>(line: string, schema: S): z.infer<S> | undefined {
  try {
    const { success, data } = schema.safeParse(JSON.parse(line));
    return success ? data : undefined;
  } catch {
    return undefined; // the parser's own words quote the line
  }
}

/** What is counted of lines that are written, and of those that are read. */
class Told {
  readonly #hash = createHash('sha256');
  readonly counts: Record<string, number> = {};
  documents = 0;

  add(line: string): void {
    this.#hash.update(line).update('\n');
  }

  count(resource: string): void {
    this.documents += 1;
    this.counts[resource] = (this.counts[resource] ?? 0) + 1;
  }

  sha256(): string {
    return this.#hash.copy().digest('hex');
  }
}

/** Makes the lines of a backup, without their line feeds. */
export class BackupWriter {
  readonly #tally = new Told();

  header(header: BackupHeader): string {
    return this.#line(header);
  }

  document(document: BackupDocument): string {
    this.#tally.count(document.resource);
    return this.#line(document);
  }

  /** @param keyring null: nobody says that it is as it was made. */
  trailer(keyring: Keyring | null): string {
    const sha256 = this.#tally.sha256();
    const mac = keyring && { kid: keyring.active.kid, hmac: macOf(keyring.active, sha256) };
    return JSON.stringify({ end: true, counts: this.#tally.counts, sha256, mac } satisfies BackupTrailer);
  }

  #line(object: object): string {
    const line = JSON.stringify(object);
    this.#tally.add(line);
    return line;
  }
}

const macOf = ({ key }: WrappingKey, sha256: string): string =>
  createHmac('sha256', key).update(`mcpctl backup ${sha256}`).digest('hex');

/** Whether a key of the keyring says that the file is as it was made; null: none of these can say. */
export function isGenuine({ mac, sha256 }: BackupTrailer, keyring: Keyring | null): boolean | null {
  const key = mac && keyring?.byKid.get(mac.kid);
  if (!key) return null;
  return timingSafeEqual(Buffer.from(macOf(key, sha256), 'hex'), Buffer.from(mac.hmac, 'hex'));
}

/** A document of a line that a reader has taken, as this release has it. */
export const documentIn = (line: string, format: number): BackupDocument =>
  upgraded(documentSchema.parse(JSON.parse(line)), format);

/** Reads the lines of a backup, one after the other, and holds none of them. */
export class BackupReader {
  readonly #tally = new Told();
  #header: BackupHeader | undefined;
  #trailer: BackupTrailer | undefined;
  #lines = 0;

  /** @throws McpctlError `backup_damaged` where no line has come. */
  get header(): BackupHeader {
    if (!this.#header) throw damaged('it is empty');
    return this.#header;
  }

  /** How many have come. */
  get documents(): number {
    return this.#tally.documents;
  }

  /**
   * @returns a document, as this release has it; undefined for the first line and the last.
   * @throws McpctlError `backup_damaged`, `backup_newer`
   */
  take(line: string): BackupDocument | undefined {
    this.#lines += 1;
    if (this.#trailer) throw damaged('something follows its last line');
    if (!this.#header) {
      this.#header = parsed(line, headerSchema);
      if (!this.#header) throw damaged('its first line does not say that it is one');
      needKnownFormat(this.#header);
      this.#tally.add(line);
      return undefined;
    }
    const document = parsed(line, documentSchema);
    if (document) {
      this.#tally.count(document.resource);
      this.#tally.add(line);
      return upgraded(document, this.#header.format);
    }
    this.#trailer = parsed(line, trailerSchema);
    if (!this.#trailer) throw damaged(`line ${this.#lines} is no document`);
    return undefined;
  }

  /** After the last line. @throws McpctlError `backup_damaged` */
  end(): { header: BackupHeader; trailer: BackupTrailer } {
    const { header } = this;
    if (!this.#trailer) throw damaged('its last line is missing, so that it was cut off');
    if (this.#trailer.sha256 !== this.#tally.sha256())
      throw damaged('its lines are not those that its end tells of');
    const { counts } = this.#trailer;
    const words = new Set([...Object.keys(counts), ...Object.keys(this.#tally.counts)]);
    for (const word of words)
      if (counts[word] !== this.#tally.counts[word])
        throw damaged(`it does not hold as many of ${word} as its end says`);
    return { header, trailer: this.#trailer };
  }
}

/** The lines of a text that ends with a line feed. @throws McpctlError `backup_damaged` */
export function* linesIn(text: string): Generator<string> {
  let from = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', from)) {
    yield text.slice(from, at);
    from = at + 1;
  }
  if (from < text.length || text === '') throw damaged('its last line is not complete');
}
