import { McpctlError } from '../../core/errors.ts';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
  readdirSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { SYSTEMD } from '../../worker/service/units.ts';
import type { Program } from './programs.ts';
import type { Tree } from './stage.ts';

/** Of whom the packages of an operating system are. */
export const MAINTAINER = 'mcpctl maintainers <maintainers@mcpctl.invalid>';
export const HOMEPAGE = 'https://mcpctl.invalid';

/** What a package of an operating system is made of. */
export interface Built {
  program: Program;
  /** Its staged npm package, for the page of the manual, the bill and the licences. */
  staged: string;
  /** The program with Node in it: what Debian 12 has of Node is too old. */
  binary: string;
}

/** Lines of at most 75 characters. */
export function paragraph(text: string): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + word.length >= 75) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}

/** Without a name or a time in it. */
export const gzipped = (text: string | Buffer): Buffer => gzipSync(text, { level: 9 });

/** Whoever hands on Node hands on its licence. @throws McpctlError `setup_failed` where it lies nowhere beside the Node that runs this. */
export function nodeLicence(): string {
  const up = dirname(dirname(process.execPath));
  const places = ['LICENSE', 'share/doc/nodejs/LICENSE', 'share/doc/node/LICENSE'].map((name) =>
    join(up, name),
  );
  const file = places.find((path) => existsSync(path));
  if (file === undefined)
    throw new McpctlError(
      'setup_failed',
      `The licence of Node is needed, and is none of ${places.join(', ')}: use a Node from nodejs.org.`,
    );
  return readFileSync(file, 'utf8');
}

/** What `mcplocal service install` writes, less what only it can know of a machine. */
const UNIT = `# Of the package. Nothing enables it: systemctl --user enable --now mcplocal, or "mcplocal service install", which
# writes a unit of your own with your proxy and your MCPCTL_HOME, and asks about lingering.
[Unit]
Description=${SYSTEMD.description}
Documentation=man:mcplocal(1)

[Service]
Type=exec
ExecStart=/usr/bin/mcplocal run
${SYSTEMD.keeping}

[Install]
WantedBy=default.target
`;

/**
 * Lays out what a package puts onto a machine, below `folder`. Nothing of it is started or enabled by being installed.
 * @param also what this kind of package wants beside that, by its path. @returns the paths on that machine, sorted.
 */
export function layOut(
  { epoch }: Tree,
  { program, staged, binary }: Built,
  { folder, also }: { folder: string; also: Readonly<Record<string, string | Buffer>> },
): string[] {
  const { name } = program;
  rmSync(folder, { recursive: true, force: true });
  const paths: string[] = [];
  const put = (path: string, content: string | Buffer, mode = 0o644): void => {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
    writeFileSync(file, content, { mode });
    paths.push(path);
  };
  put(`/usr/bin/${name}`, '', 0o755);
  cpSync(binary, join(folder, 'usr', 'bin', name));
  if (name === 'mcplocal') put('/usr/lib/systemd/user/mcplocal.service', UNIT);
  put(`/usr/share/man/man1/${name}.1.gz`, gzipped(readFileSync(join(staged, `man/${name}.1`))));
  const doc = `/usr/share/doc/${name}`;
  put(`${doc}/${name}.cdx.json.gz`, gzipped(readFileSync(join(staged, `${name}.cdx.json`))));
  put(
    `${doc}/third-party-licences.txt.gz`,
    gzipped(readFileSync(join(staged, 'dist/bundle/third-party-licences.txt'))),
  );
  put(`${doc}/LICENSE.node.gz`, gzipped(nodeLicence()));
  for (const [path, content] of Object.entries(also)) put(path, content);
  const at = new Date(epoch * 1_000);
  for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
    utimesSync(join(folder, entry), at, at);
  return paths.sort();
}
