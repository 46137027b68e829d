import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  openAll,
  openItem,
  rewrap,
  seal,
  type Place,
  type SealedItem,
  type SealedVersion,
} from '../../core/runtime/keyring/envelope.ts';
import { inspectKeyring, openKeyring } from '../../core/runtime/keyring/open-keyring.ts';
import { readConfig } from '../../core/runtime/settings/config.ts';
import { keyringWith, newKey } from '../support/keyring.ts';

const place: Place = { installation: 'here', secretId: 'id-1', name: 'openai', version: 3 };
const data = { A: 'canary-one', B: 'canary-two' };

const failureOf = (work: () => unknown): string => {
  try {
    return `opened ${JSON.stringify(work())}`;
  } catch (thrown) {
    return `${String((thrown as { code?: string }).code)}: ${(thrown as Error).message}`;
  }
};

describe('what seals secrets', () => {
  const [first, second] = [newKey(), newKey()];
  const [one, other, both, turned] = [
    keyringWith(first),
    keyringWith(second),
    keyringWith(first, second),
    keyringWith(second, first),
  ];
  const sealed = seal(one, place, data);
  const item = (key: keyof typeof data): SealedItem => sealed.items[key] ?? expect.fail();

  it('opens what was sealed, whatever it is, and tells nothing of it in what it keeps', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.stringMatching(/^[A-Za-z][\w.-]{0,20}$/),
          fc.string({ unit: 'grapheme', maxLength: 200 }),
        ),
        (values) => {
          const kept = seal(one, place, values);
          expect(openAll(one, place, kept)).to.deep.equal(values);
          for (const [key, { bytes }] of Object.entries(kept.items))
            expect(bytes).to.equal(Buffer.byteLength(values[key] ?? ''));
        },
      ),
      { numRuns: 100 },
    );
    expect(JSON.stringify(sealed)).to.not.match(/canary|Y2FuYXJ5/);
    expect(seal(one, place, data).items['A']?.sealed).to.not.equal(item('A').sealed);
  });

  it('opens nothing that was moved, cut or changed, and says of which secret and version', () => {
    const wrapped = { kid: sealed.kid, wrappedDek: sealed.wrappedDek };
    const elsewhere: Partial<Place>[] = [{ installation: 'there' }, { secretId: 'id-2' }, { version: 4 }];
    for (const more of elsewhere)
      expect(
        failureOf(() => openAll(one, { ...place, ...more }, sealed)),
        JSON.stringify(more),
      ).to.match(/^secret_undecryptable: The secret 'openai' \(version [34]\) cannot be opened/);
    expect(failureOf(() => openItem(one, place, { ...wrapped, key: 'A', item: item('B') }))).to.match(
      /^secret_/,
    );
    const another = seal(one, { ...place, version: 4 }, data);
    expect(failureOf(() => openAll(one, place, { ...sealed, items: another.items }))).to.match(/^secret_/);
    const flipped = (text: string, at: number): string => {
      const bytes = Buffer.from(text, 'base64');
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      return bytes.toString('base64');
    };
    const length = Buffer.from(item('A').sealed, 'base64').length;
    for (let at = 0; at < length; at++) {
      const items = { A: { bytes: 10, sealed: flipped(item('A').sealed, at) } };
      expect(failureOf(() => openAll(one, place, { ...wrapped, items }))).to.match(/^secret_/);
    }
    for (let at = 0; at < Buffer.from(sealed.wrappedDek, 'base64').length; at++) {
      const broken: SealedVersion = { ...sealed, wrappedDek: flipped(sealed.wrappedDek, at) };
      expect(failureOf(() => openAll(one, place, broken))).to.match(/^secret_/);
    }
    for (const cut of [0, 4, 12, 16, 27, length - 1]) {
      const short = Buffer.from(item('A').sealed, 'base64').subarray(0, cut).toString('base64');
      const items = { A: { bytes: 10, sealed: short } };
      const failure = failureOf(() => openAll(one, place, { ...wrapped, items }));
      expect(failure, String(cut))
        .to.match(/^secret_undecryptable/)
        .and.not.match(/canary/);
    }
  });

  it('opens with any key of the ring, wraps with the first, and names the key that is not there', () => {
    const kid = one.active.kid;
    expect(kid).to.match(/^[0-9a-f]{8}$/);
    for (const ring of [one, both, turned]) expect(openAll(ring, place, sealed)).to.deep.equal(data);
    expect(failureOf(() => openAll(other, place, sealed))).to.include(`kept under key ${kid}`);
    const moved = { ...sealed, ...rewrap(turned, place, sealed) };
    expect(moved).to.include({ kid: other.active.kid }).and.have.property('items', sealed.items);
    expect(openAll(other, place, moved)).to.deep.equal(data);
    expect(failureOf(() => openAll(one, place, moved))).to.include(other.active.kid);
    expect(failureOf(() => openAll(both, place, { ...sealed, kid: other.active.kid }))).to.match(/^secret_/);
  });
});

describe('the keyring of a process', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mcpctl-keyring-'));
    path = join(folder, 'keys');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('is read anew when its file changes; a file that is none, or not there any more, leaves the keys', async () => {
    const [a, b] = [newKey(), newKey()];
    const [kidA, kidB] = [keyringWith(a).active.kid, keyringWith(b).active.kid];
    await writeFile(path, `# mine\n\n${a}\n`);
    let elapsed = 0;
    const lines: string[] = [];
    const log = {
      info: (_: object, text: string) => void lines.push(text),
      warn: (_: object, text: string) => void lines.push(text),
    };
    const source = openKeyring(
      { secretsKeysFile: path, secretsKey: [] },
      { clock: { elapsed: () => (elapsed += 2_000) }, log },
    );
    const kids = (): string[] => [...(source.now()?.byKid.keys() ?? [])];
    expect(kids()).to.deep.equal([kidA]);
    await writeFile(path, `${b}\n${a}\n`);
    expect(kids()).to.deep.equal([kidB, kidA]);
    await writeFile(path, 'short\n');
    expect(kids()).to.deep.equal([kidB, kidA]);
    await rm(path);
    expect(kids()).to.deep.equal([kidB, kidA]);
    expect(lines).to.have.length(3);
  });

  it('is none where nothing is set, and says what is wrong with one without its text', async () => {
    expect(inspectKeyring({})).to.deep.equal({ keyring: null, faults: [] });
    const word = 'not-a-key-but-somebodys-password';
    for (const text of [
      word,
      `${newKey()}\n${word}`,
      '',
      '# nothing',
      newKey().slice(4),
      `${newKey()} ${newKey()}`,
    ]) {
      await writeFile(path, text);
      const [fault] = inspectKeyring({ secretsKeysFile: path }).faults;
      expect(fault?.message, text)
        .to.match(/openssl rand -base64 32/)
        .and.not.include(word);
    }
    const [absent] = inspectKeyring({ secretsKeysFile: join(folder, 'nowhere') }).faults;
    expect(absent?.message).to.match(/ENOENT/);
    const wrong = (): unknown => readConfig({ MCPCTL_SECRETS_KEY: `${newKey()},${word}` }, ['secretsKey']);
    expect(failureOf(wrong))
      .to.match(/MCPCTL_SECRETS_KEY: key 2 is not 32 bytes/)
      .and.not.include(word);
    const keys = [newKey(), newKey()];
    expect(readConfig({ MCPCTL_SECRETS_KEY: keys.join(', ') }, ['secretsKey']).secretsKey).to.deep.equal(
      keys,
    );
  });
});
