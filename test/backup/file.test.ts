import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import { upgraded } from '../../core/backup/format.ts';
import { newIdentity, openKey, sealKey, type OpenWith, type SealFor } from '../../core/runtime/backup/age.ts';
import { BackupReader, BackupWriter, isGenuine, linesIn } from '../../core/runtime/backup/lines.ts';
import { openBackupFile } from '../../core/runtime/backup/read-file.ts';
import { writeBackupFile } from '../../core/runtime/backup/write-file.ts';
import { codeOf } from '../support/registry.ts';
import { keyringWith, newKey } from '../support/keyring.ts';

const keyring = keyringWith(newKey());
const about = () => ({ id: 'b', installation: 'i', app: '1.0.0', schema: '', at: '', scope: [], kids: [] });

function backupOf(documents: readonly { resource: string; text: string }[]): string {
  const writer = new BackupWriter();
  const header = { mcpctl: 'backup', format: 1, secrets: 'none', ...about() } as const;
  const lines = [writer.header(header), ...documents.map((d) => writer.document(d)), writer.trailer(keyring)];
  return `${lines.join('\n')}\n`;
}

/** @throws McpctlError */
function readAll(text: string) {
  const reader = new BackupReader();
  const documents = [...linesIn(text)].flatMap((line) => reader.take(line) ?? []);
  return { documents, ...reader.end() };
}

const anyDocuments = fc.array(
  fc.record({ resource: fc.constantFrom('user', 'llm', 'secret'), text: fc.string({ unit: 'grapheme' }) }),
  { maxLength: 6 },
);

describe('the file of a backup', function () {
  this.timeout(20_000);
  let home: string;
  const none: OpenWith = { identities: [] };
  before(async () => (home = await mkdtemp(join(tmpdir(), 'mcpctl-backup-'))));
  after(() => rm(home, { recursive: true }));

  const pieces = async function* (text: string, size = 7): AsyncGenerator<Uint8Array> {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    await Promise.resolve();
  };
  const write = (
    name: string,
    text: string,
    { seal = null, identity }: { seal?: SealFor | null; identity?: string } = {},
  ) =>
    writeBackupFile({
      ...{
        path: join(home, name),
        bytes: pieces(text),
        seal,
        ...(identity !== undefined && { identity }),
        work: 10,
      },
      signal: new AbortController().signal,
    });
  const read = async (name: string, by = none): Promise<{ text: string; identities: readonly string[] }> => {
    const { lines, identities } = await openBackupFile(join(home, name), by);
    let text = '';
    for await (const line of lines) text += `${line}\n`;
    readAll(text);
    return { text, identities: identities() };
  };

  it('is whole, or is seen not to be, wherever it is cut and whatever bit of it is another', () => {
    fc.assert(
      fc.property(anyDocuments, fc.nat(), fc.nat({ max: 7 }), (...[documents, place, bit]) => {
        const text = backupOf(documents);
        expect(readAll(text).documents).to.deep.equal(documents);
        expect(isGenuine(readAll(text).trailer, keyring)).to.equal(true);
        expect(isGenuine(readAll(text).trailer, keyringWith(newKey()))).to.equal(null);
        const bytes = Buffer.from(text);
        const cut = bytes.subarray(0, place % bytes.length).toString();
        expect(() => readAll(cut), cut.slice(-30)).to.throw(/whole backup/);
        const at = place % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        let isSeen = true;
        try {
          // What is flipped in the seal itself, or in a word that nobody reads, is no other document.
          const { documents: now, trailer } = readAll(bytes.toString());
          isSeen = JSON.stringify(now) === JSON.stringify(documents) || isGenuine(trailer, keyring) !== true;
        } catch (thrown) {
          expect(thrown).to.have.property('code');
        }
        expect(isSeen).to.equal(true);
      }),
      { numRuns: 300 },
    );
  });

  it('is refused at every byte of a file that it is cut at, packed or encrypted', async () => {
    const text = backupOf([{ resource: 'user', text: 'ada' }]);
    const { identity, recipient } = await newIdentity();
    for (const [name, seal, by] of [
      ['plain.gz', null, none],
      ['sealed.gz.age', { recipients: [recipient] }, { identities: [identity] }],
    ] as const) {
      await write(name, text, { seal });
      expect((await read(name, by)).text).to.equal(text);
      expect((await stat(join(home, name))).mode & 0o777).to.equal(0o600);
      const bytes = await readFile(join(home, name));
      for (let cut = 0; cut < bytes.length; cut += seal === null ? 1 : 1 + (cut % 5)) {
        await writeFile(join(home, 'cut'), bytes.subarray(0, cut));
        expect(await codeOf(read('cut', by)), `${name} at ${cut}`).to.match(/^backup_(damaged|locked)$/);
      }
    }
  });

  it('opens with its passphrase or identity alone, and hands over what its portable secrets open with', async () => {
    const text = backupOf([]);
    const own = await newIdentity();
    const seal = { recipients: [], passphrase: 'correct horse' };
    await write('passphrase', text, { seal, identity: own.identity });
    const { identities, text: back } = await read('passphrase', {
      identities: [],
      passphrase: 'correct horse',
    });
    expect([back, identities]).to.deep.equal([text, [own.identity]]);
    const wrong = (by: OpenWith) => codeOf(read('passphrase', by));
    expect(await wrong({ identities: [], passphrase: 'wrong' })).to.equal('backup_locked');
    expect(await wrong({ identities: [own.identity] })).to.equal('backup_locked');
    expect(await wrong(none)).to.equal('usage');
    const key = Buffer.alloc(32, 7);
    const sealed = await sealKey(key, [own.recipient]);
    expect(await openKey(sealed, [own.identity])).to.deep.equal(key);
    expect(await codeOf(openKey(sealed, [(await newIdentity()).identity]))).to.equal('backup_locked');
  });

  it('leaves nothing half where what comes breaks off, and what was there as it was', async () => {
    const text = backupOf([{ resource: 'user', text: 'ada' }]);
    await write('kept', text);
    expect(await codeOf(write('kept', text.slice(0, -30)))).to.equal('backup_damaged');
    expect((await read('kept')).text).to.equal(text);
    expect((await readdir(home)).filter((name) => name.endsWith('.part'))).to.deep.equal([]);
  });

  it('is no bomb, no endless line, and no file of another kind', async () => {
    const as = async (name: string, bytes: Buffer): Promise<string> => {
      await writeFile(join(home, name), bytes);
      return codeOf(read(name, { identities: [], passphrase: 'x' }));
    };
    expect(await as('line', gzipSync(Buffer.alloc(64 * 1024 * 1024, 'x')))).to.equal('backup_damaged');
    expect(await as('blank', gzipSync(Buffer.alloc(4 * 1024 * 1024, '\n')))).to.equal('backup_damaged');
    const { lines } = await openBackupFile(join(home, 'blank'), none);
    expect(await codeOf(lines.next()), 'the first bad line ends it').to.equal('backup_damaged');
    expect(await as('text', Buffer.from('resource: user\n'))).to.equal('backup_damaged');
    expect(
      await as('head', Buffer.concat([Buffer.from('age-encryption.org/v1\n'), Buffer.alloc(200_000, 'x')])),
    ).to.equal('backup_damaged');
    const heavy = 'age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 30\nAAAA\n--- AAAA\n';
    expect(await as('heavy', Buffer.from(heavy))).to.equal('backup_locked');
    expect(await codeOf(read('nobody'))).to.equal('usage');
    expect(await codeOf(read('.'))).to.equal('usage');
  });

  it('upgrades a document from the format that it has to ours', () => {
    const steps = ['b', 'c'].map((to) => (d: object) => ({ resource: 'x', ...d, [to]: true }));
    expect(upgraded({ resource: 'x' }, 1, steps)).to.deep.equal({ resource: 'x', b: true, c: true });
    expect(upgraded({ resource: 'x' }, 2, steps)).to.deep.equal({ resource: 'x', c: true });
    expect(upgraded({ resource: 'x' }, 3, steps)).to.deep.equal({ resource: 'x' });
  });
});
