import { createHash } from 'node:crypto';
import { needed, type Lock } from './locked.ts';

interface Subject {
  name: string;
  version: string;
  license: string;
  dependencies: Readonly<Record<string, string>>;
  optionalDependencies: Readonly<Record<string, string>>;
}

/** A URL of a package, as bills name it: `pkg:npm/%40scope/name@1.0.0`. */
const purlOf = (name: string, version: string): string => `pkg:npm/${name.replace('@', '%40')}@${version}`;
const nameOf = (folder: string): string =>
  folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);

/** `sha512-…` in base64, as a lockfile has it, in hexadecimal. */
function hashesOf(integrity: string | undefined): object {
  const sha512 = /^sha512-(\S+)/.exec(integrity ?? '')?.[1];
  return sha512 === undefined
    ? {}
    : { hashes: [{ alg: 'SHA-512', content: Buffer.from(sha512, 'base64').toString('hex') }] };
}

/**
 * A bill of materials (CycloneDX 1.5): what is installed beside a package, and what was taken into its own files, which no
 * lockfile tells. The same tree makes the same bill.
 */
export function billOf(
  lock: Lock,
  subject: Subject,
  { takenIn, epoch }: { takenIn: readonly string[]; epoch: number },
): object {
  const { name, version, license } = subject;
  const roots = [...Object.keys(subject.dependencies), ...Object.keys(subject.optionalDependencies)];
  const beside = needed(lock, roots, true);
  const components = [...new Set([...beside, ...takenIn])].sort().flatMap((folder) => {
    const entry = lock[folder];
    if (entry?.version === undefined) return [];
    const purl = purlOf(nameOf(folder), entry.version);
    return [
      {
        type: 'library',
        'bom-ref': `${purl}#${folder}`,
        ...{ name: nameOf(folder), version: entry.version, purl },
        ...hashesOf(entry.integrity),
        ...(entry.license !== undefined && { licenses: [{ expression: entry.license }] }),
        properties: [{ name: 'mcpctl:taken-in', value: String(takenIn.includes(folder)) }],
      },
    ];
  });
  const digest = createHash('sha256')
    .update(JSON.stringify([name, version, components]))
    .digest('hex');
  const uuid = [
    digest.slice(0, 8),
    digest.slice(8, 12),
    `5${digest.slice(13, 16)}`,
    `8${digest.slice(17, 20)}`,
    digest.slice(20, 32),
  ];
  return {
    ...{ bomFormat: 'CycloneDX', specVersion: '1.5', serialNumber: `urn:uuid:${uuid.join('-')}`, version: 1 },
    metadata: {
      timestamp: new Date(epoch * 1_000).toISOString(),
      component: {
        type: 'application',
        ...{ 'bom-ref': purlOf(name, version), name, version, purl: purlOf(name, version) },
        licenses: [{ expression: license }],
      },
    },
    components,
  };
}
