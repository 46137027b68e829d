import { McpctlError } from '../../core/errors.ts';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HOMEPAGE, layOut, MAINTAINER, paragraph, type Built } from './installed.ts';
import { outputOf } from './output-of.ts';
import type { Tree } from './stage.ts';

const architectures: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };

/**
 * A package of Fedora, RHEL and SUSE, by rpmbuild. The same tree and Node make the same bytes.
 * @returns its path
 */
export function rpmPackage(tree: Tree, built: Built, { work, into }: { work: string; into: string }): string {
  const { root } = tree;
  const { name } = built.program;
  const architecture = architectures[process.arch];
  if (architecture === undefined)
    throw new McpctlError('setup_failed', `The name that rpm has for ${process.arch} is not known here.`);
  const folder = join(work, 'rpm');
  const top = join(work, 'rpmbuild');
  rmSync(top, { recursive: true, force: true });
  mkdirSync(top, { recursive: true });
  const licence = readFileSync(join(root, 'LICENSE'));
  const paths = layOut(tree, built, { folder, also: { [`/usr/share/licenses/${name}/LICENSE`]: licence } });
  const spec = join(top, `${name}.spec`);
  writeFileSync(spec, specOf(tree, built, { folder, paths }));
  const defined = { _topdir: top, _sourcedir: top };
  outputOf(
    'rpmbuild',
    [
      ...['-bb', '--quiet', '--target', `${architecture}-linux`],
      ...Object.entries(defined).flatMap(([key, value]) => ['--define', `${key} ${value}`]),
      spec,
    ],
    { env: tree.env, from: 'apt-get install rpm, or dnf install rpm-build' },
  );
  const made = join(top, 'RPMS', architecture);
  const file = existsSync(made) ? readdirSync(made).find((each) => each.endsWith('.rpm')) : undefined;
  if (file === undefined) throw new McpctlError('setup_failed', `rpmbuild made nothing in ${made}.`);
  cpSync(join(made, file), join(into, file));
  return join(into, file);
}

/** @param from the folder where everything is laid out, and the paths in it. */
function specOf(
  { manifest, epoch }: Tree,
  { program }: Built,
  { folder, paths }: { folder: string; paths: readonly string[] },
): string {
  const { name, summary, about } = program;
  const day = new Date(epoch * 1_000).toUTCString().replace(/^(\w+), (\d+) (\w+) (\d+).*$/, '$1 $3 $2 $4');
  const listed = paths.map((path) => (path.includes('/licenses/') ? `%license ${path}` : path));
  return `# It is laid out already: nothing is compiled, stripped or looked through here, which would cut the program off Node.
%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none
%global _binary_payload w6.gzdio
%global _buildhost mcpctl.invalid
%global use_source_date_epoch_as_buildtime 1
%global clamp_mtime_to_source_date_epoch 1
Name: ${name}
Version: ${manifest.version}
Release: 1
Summary: ${summary}
License: MIT
Group: Applications/Internet
URL: ${HOMEPAGE}
Packager: ${MAINTAINER}
AutoReqProv: no
Requires: glibc >= 2.28
Requires: libstdc++.so.6()(64bit)

%description
${paragraph(about).join('\n')}

%install
cp -a ${folder}/usr %{buildroot}/

%files
%defattr(-,root,root,-)
${listed.join('\n')}

%changelog
* ${day} ${MAINTAINER} - ${manifest.version}-1
- mcpctl ${manifest.version}: see CHANGELOG.md of that release.
`;
}
