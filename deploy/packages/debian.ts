import { McpctlError } from '../../core/errors.ts';
import { mkdirSync, readFileSync, statSync, utimesSync, writeFileSync, chmodSync } from 'node:fs';
import { join } from 'node:path';
import { gzipped, HOMEPAGE, layOut, MAINTAINER, paragraph, type Built } from './installed.ts';
import { outputOf } from './output-of.ts';
import type { Tree } from './stage.ts';

const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/**
 * A package of Debian and Ubuntu, by dpkg-deb. The same tree and Node make the same bytes.
 * @returns its path
 */
export function debianPackage(
  tree: Tree,
  built: Built,
  { work, into }: { work: string; into: string },
): string {
  const { root, manifest, epoch } = tree;
  const { name, summary, about } = built.program;
  const architecture = architectures[process.arch];
  if (architecture === undefined)
    throw new McpctlError('setup_failed', `Debian's name of ${process.arch} is not known here.`);
  const version = `${manifest.version}-1`;
  const folder = join(work, 'deb');
  const doc = `/usr/share/doc/${name}`;
  const paths = layOut(tree, built, {
    folder,
    also: {
      [`${doc}/copyright`]: copyrightOf(name, readFileSync(join(root, 'LICENSE'), 'utf8')),
      [`${doc}/changelog.Debian.gz`]: gzipped(
        `${name} (${version}) unstable; urgency=medium\n\n  * mcpctl ${manifest.version}: see CHANGELOG.md of that release.\n\n -- ${MAINTAINER}  ${dateOf(epoch)}\n`,
      ),
      [`/usr/share/lintian/overrides/${name}`]: overridesOf(name),
    },
  });
  const bytes = paths.reduce((sum, path) => sum + statSync(join(folder, path)).size, 0);
  const control = join(folder, 'DEBIAN');
  mkdirSync(control, { mode: 0o755 });
  writeFileSync(
    join(control, 'control'),
    [
      `Package: ${name}`,
      `Version: ${version}`,
      `Architecture: ${architecture}`,
      `Maintainer: ${MAINTAINER}`,
      `Installed-Size: ${String(Math.ceil(bytes / 1_024))}`,
      // What Node's own releases are linked against.
      'Depends: libc6 (>= 2.28), libgcc-s1 (>= 3.4), libstdc++6 (>= 9)',
      'Recommends: ca-certificates',
      'Section: net',
      'Priority: optional',
      `Homepage: ${HOMEPAGE}`,
      `Description: ${summary}`,
      ...paragraph(about).map((line) => ` ${line}`),
      '',
    ].join('\n'),
  );
  chmodSync(join(control, 'control'), 0o644);
  utimesSync(join(control, 'control'), epoch, epoch);
  const file = join(into, `${name}_${version}_${architecture}.deb`);
  outputOf(
    'dpkg-deb',
    // One thread, for how many there are shows in the bytes; a fast level, for most of it is Node.
    ['--root-owner-group', '--threads-max=1', '-Zxz', '-z3', '--build', folder, file],
    { env: tree.env, from: 'apt-get install dpkg' },
  );
  return file;
}

/** As mail has it, in UTC. */
const dateOf = (epoch: number): string => new Date(epoch * 1_000).toUTCString().replace('GMT', '+0000');

/** In the form that Debian's programs read. */
const copyrightOf = (
  name: string,
  licence: string,
): string => `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ${name}
Comment: /usr/bin/${name} holds Node.js, whose licence is LICENSE.node.gz, and
 parts of packages of npm, whose licences are third-party-licences.txt.gz.
 All of them are named in ${name}.cdx.json.gz.

Files: *
Copyright: ${/^Copyright \(c\) (.*)$/m.exec(licence)?.[1] ?? ''}
License: MIT

License: MIT
${licence
  .slice(licence.indexOf('Permission'))
  .trimEnd()
  .split('\n')
  .map((line) => ` ${line === '' ? '.' : line}`)
  .join('\n')}
`;

/** What lintian says of Node in one file, and why that stays. */
const overridesOf = (
  name: string,
): string => `# It is Node's own release, which is linked so, has these in it, and is tested with them.
${name}: embedded-library *
${name}: hardening-no-pie [usr/bin/${name}]
# Made outside of Debian.
${name}: initial-upload-closes-no-bugs *
`;
