import type { BigIntStats } from 'node:fs';
import { open, realpath, stat } from 'node:fs/promises';
import { McpctlError } from '../../core/errors.ts';
import { READ_AT_ONCE } from '../../core/runtime/files/plain-file.ts';
import { refusedKeyRef, type ApiKeyRef } from '../../core/llm.ts';

/** Reads the key of a backend. @throws McpctlError `backend_auth_failed` saying what its operator must mend. */
export type ReadKey = () => Promise<string | undefined>;

interface KeysBeside {
  ofSecret?: ReadKey;
  ownFiles?: readonly string[];
  named?: readonly string[];
}

const MOST_BYTES = 8 * 1024;
const NOT_NAMED =
  'It is none of the variables and files that llms may name here; the operator of the hosted worker lists them in MCPCTL_HOSTED_KEYS.';
export const cannot = (why: string): McpctlError => new McpctlError('backend_auth_failed', why);

/**
 * The key that a public row refers to, read where it is used: never earlier, so that nothing else holds it. A file
 * is read again when it has changed. A reference that the edge would refuse is refused here too: the row may be older.
 * @param env of this process. @param besides `ofSecret` reads it where it is in a secret; `ownFiles` are none, whatever they hold: what
 *   opens every secret, and tokens, would else be sent to where a row says; `named` are variables and files that rows may name
 *   (a folder ends in `/`), all of them where there is none.
 */
export function keyReader(
  ref: ApiKeyRef | null,
  env: Readonly<Record<string, string | undefined>>,
  { ofSecret = noSecret, ownFiles = [], named = [] }: KeysBeside = {},
): ReadKey {
  if (ref === null) return () => Promise.resolve(undefined);
  const refused = refusedKeyRef(ref);
  if (refused) return () => Promise.reject(cannot(`apiKeyRef.${refused.path} ${refused.message}.`));
  if (!('secretRef' in ref) && !isNamed(named, ref)) return () => Promise.reject(cannot(NOT_NAMED));
  if ('env' in ref)
    return () =>
      Promise.resolve(
        keyIn(Object.hasOwn(env, ref.env) ? env[ref.env] : undefined, `The variable ${ref.env}`),
      );
  if ('file' in ref) return fileReader(ref.file, ownFiles);
  return ofSecret;
}

function isNamed(named: readonly string[], ref: { env: string } | { file: string }): boolean {
  if (named.length === 0) return true;
  if ('env' in ref) return named.includes(ref.env);
  return named.some((one) => one === ref.file || (one.endsWith('/') && ref.file.startsWith(one)));
}

/** What may stand in a header, and nothing else. */
export function keyIn(text: string | undefined, where: string): string {
  const key = text?.trim() ?? '';
  if (key === '') throw cannot(`${where} is empty, or not set for the hosted worker.`);
  if (!/^[\x21-\x7e]+$/.test(key)) throw cannot(`${where} does not hold a key alone.`);
  return key;
}

const noSecret: ReadKey = () =>
  Promise.reject(cannot('No secret is served here; give apiKeyRef env or file.'));

/** Whether it is one of those, by whatever name: links are followed, and a second name of the same file is that file. */
async function isOneOf(paths: readonly string[], { dev, ino }: BigIntStats): Promise<boolean> {
  // All at once: it is asked at each call.
  const own = await Promise.all(paths.map((path) => stat(path, { bigint: true }).catch(() => undefined)));
  return own.some((one) => one?.dev === dev && one.ino === ino);
}

function fileReader(path: string, ownFiles: readonly string[]): ReadKey {
  let cached: { version: string; key: string } | undefined;
  return async () => {
    const { version, text } = await readIfChanged({ path, ownFiles }, cached?.version);
    if (text !== undefined) cached = { version, key: keyIn(text, 'The file with the key') };
    return cached?.key;
  };
}

/** @returns no text when it is as it was. */
async function readIfChanged(
  { path, ownFiles }: { path: string; ownFiles: readonly string[] },
  knownVersion?: string,
): Promise<{ version: string; text?: string }> {
  try {
    const real = await realpath(path);
    if (refusedKeyRef({ file: real })) throw cannot('The file with the key is none.');
    const file = await open(real, READ_AT_ONCE);
    try {
      const there = await file.stat({ bigint: true });
      if (!there.isFile() || there.size > MOST_BYTES || (await isOneOf(ownFiles, there)))
        throw cannot('The file with the key is none.');
      const { mtimeNs, size, ino, dev } = there;
      const version = [real, mtimeNs, size, ino, dev].join(' ');
      if (version === knownVersion) return { version };
      const { bytesRead, buffer } = await file.read(Buffer.alloc(MOST_BYTES), 0, MOST_BYTES, 0);
      return { version, text: buffer.toString('latin1', 0, bytesRead) };
    } finally {
      await file.close();
    }
  } catch (thrown) {
    if (thrown instanceof McpctlError) throw thrown;
    throw cannot('The hosted worker cannot read the file with the key.'); // the path is the operator's own
  }
}
