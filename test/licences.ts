/**
 * `npm run licences`: a bill of materials of everything in package-lock.json (CycloneDX, from npm itself), and whether
 * each licence is one that we may ship, each version exact, each archive pinned by its hash.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** Permissive ones, and those that bind only changes to the package's own files. */
const fine = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC-BY-4.0',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MIT-0',
  'MPL-2.0',
  'PSF-2.0',
  'Python-2.0',
  'Unlicense',
  'WTFPL',
  'Zlib',
]);
/** Whose package names a file that it lacks: read in its repository (MIT, newer parts Apache-2.0). Only tests run it. */
const readElsewhere = new Set(['@modelcontextprotocol/server-everything']);
const BILL = join('.boot', 'sbom.cdx.json');

const licenceSchema = z.union([
  z.object({ license: z.object({ id: z.string().optional(), name: z.string().optional() }) }),
  z.object({ expression: z.string() }),
]);
const billSchema = z.object({
  components: z.array(
    z.object({ name: z.string(), version: z.string(), licenses: z.array(licenceSchema).default([]) }),
  ),
});
const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.object({ integrity: z.string().optional(), link: z.boolean().optional() }),
  ),
});
const manifestSchema = z.object({
  dependencies: z.record(z.string(), z.string()),
  devDependencies: z.record(z.string(), z.string()),
});

const read = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));

/** `MIT`, or an expression: of an `OR` one must be fine, of an `AND` all. */
function isFine(licence: string): boolean {
  return licence
    .replaceAll(/[()]/g, '')
    .split(/ OR /i)
    .some((one) => one.split(/ AND /i).every((id) => fine.has(id.trim())));
}

function licencesOf(component: z.infer<typeof billSchema>['components'][number]): string[] {
  return component.licenses.map((licence) =>
    'expression' in licence ? licence.expression : (licence.license.id ?? licence.license.name ?? 'none'),
  );
}

function billOfMaterials(): z.infer<typeof billSchema> {
  const { stdout, stderr, status } = spawnSync('npm', ['sbom', '--sbom-format=cyclonedx'], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`npm sbom failed: ${stderr}`);
  mkdirSync('.boot', { recursive: true });
  writeFileSync(BILL, stdout);
  return billSchema.parse(JSON.parse(stdout));
}

const faults: string[] = [];
const { components } = billOfMaterials();
for (const component of components) {
  const licences = licencesOf(component);
  if (readElsewhere.has(component.name)) continue;
  if (licences.length === 0 || !licences.every(isFine))
    faults.push(`${component.name} ${component.version}: licence ${licences.join(', ') || 'not said'}`);
}
for (const [path, { integrity, link }] of Object.entries(
  lockSchema.parse(read('package-lock.json')).packages,
))
  if (path !== '' && link !== true && integrity?.startsWith('sha512-') !== true)
    faults.push(`${path}: package-lock.json has no SHA-512 of it`);
const { dependencies, devDependencies } = manifestSchema.parse(read('package.json'));
for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies }))
  if (!/^(npm:(@[^@/]+\/)?[^@/]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
    faults.push(`${name}: ${version} is not an exact version`);

for (const fault of faults) process.stderr.write(`${fault}\n`);
process.stdout.write(
  `${components.length} packages, ${faults.length} faults; the bill of materials is ${BILL}\n`,
);
process.exitCode = faults.length === 0 ? 0 : 1;
