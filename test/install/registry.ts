import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

/** A registry of npm's kind, on this machine. */
export interface PackageRegistry {
  url: string;
  /** Puts a package there. @param files beside package.json, by path. @returns its integrity. */
  publish(manifest: { name: string; version: string }, files?: Readonly<Record<string, string>>): string;
  /** What is sent in place of that package from now on is something else than what it was published as. */
  tamper(name: string): void;
  close(): Promise<void>;
}

/** @param folder where it may write. */
export async function packageRegistry(folder: string): Promise<PackageRegistry> {
  const packages = new Map<
    string,
    { manifest: { name: string; version: string }; bytes: Buffer; integrity: string }
  >();
  const server = createServer((req, res) => {
    const path = decodeURIComponent(req.url ?? '').slice(1);
    const isFile = path.endsWith('.tgz');
    const kept = packages.get(isFile ? path.slice('-/'.length, -'.tgz'.length) : path);
    if (!kept) return void res.writeHead(404).end('{}');
    if (isFile)
      return void res.writeHead(200, { 'content-type': 'application/octet-stream' }).end(kept.bytes);
    const { manifest, integrity } = kept;
    const dist = { integrity, tarball: `${url}/-/${encodeURIComponent(manifest.name)}.tgz` };
    const { name, version } = manifest;
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(
      JSON.stringify({
        name,
        'dist-tags': { latest: version },
        versions: { [version]: { ...manifest, dist } },
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  let packed = 0;
  return {
    url,
    publish(manifest, files = {}) {
      const at = join(folder, `packed-${String(++packed)}`, 'package');
      mkdirSync(at, { recursive: true });
      writeFileSync(join(at, 'package.json'), JSON.stringify(manifest));
      for (const [path, text] of Object.entries(files)) writeFileSync(join(at, path), text);
      execFileSync('tar', ['-czf', join(at, '..', 'package.tgz'), '-C', join(at, '..'), 'package']);
      const bytes = readFileSync(join(at, '..', 'package.tgz'));
      const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
      packages.set(manifest.name, { manifest, bytes, integrity });
      return integrity;
    },
    tamper(name) {
      const kept = packages.get(name);
      if (kept) packages.set(name, { ...kept, bytes: Buffer.concat([kept.bytes, Buffer.of(0)]) });
    },
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
