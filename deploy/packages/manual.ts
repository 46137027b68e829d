import { join } from 'node:path';
import { outputOf } from './output-of.ts';
import type { Program } from './programs.ts';

interface Edition {
  /** The staged `dist/`, whose program is asked for its help. */
  dist: string;
  version: string;
  epoch: number;
}

/** What a page of the manual says beside the help: places where a program keeps and reads things. */
const files: Readonly<Record<Program['name'], readonly (readonly [string, string])[]>> = {
  mcpctl: [
    ['~/.mcpctl/credentials', 'The server and the token of who is logged in. Mode 0600.'],
    ['~/.mcpctl/cli.json', 'Contexts: other servers, and other people at them.'],
  ],
  mcplocal: [
    ['~/.mcpctl/config.json', 'What this machine has, and what of it is shared.'],
    ['~/.mcpctl/credentials, ~/.mcpctl/worker-credentials', 'With what it publishes and serves. Mode 0600.'],
    [
      '/usr/lib/systemd/user/mcplocal.service',
      'The unit of the packages of Debian and Fedora, not enabled: "systemctl --user enable --now mcplocal".',
    ],
  ],
  mcpd: [['Environment', 'Every setting is a variable: docs/config.md has all of them.']],
};

const words: Readonly<Record<Program['name'], string>> = {
  mcpctl: '[COMMAND] [OPTIONS]',
  mcplocal: '[COMMAND] [OPTIONS]',
  mcpd: '[release [--grant-admin USER] | restore FILE]',
};

/** Of roff: a backslash escapes, and a dot or a quote that begins a line is a request. */
const escaped = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .split('\n')
    .map((line) => (/^[.']/.test(line) ? `\\&${line}` : line))
    .join('\n');

/** A page of section 1, of the program's own help: a second list of its commands would be another one soon. */
export function manualOf(program: Program, { dist, version, epoch }: Edition): string {
  const { name, summary, about, bin } = program;
  const day = new Date(epoch * 1_000).toISOString().slice(0, 10);
  const shows = name !== 'mcpd'; // a server is started with settings, and has no help
  const help = shows ? helpOf(join(dist, bin[name] ?? '')) : undefined;
  return [
    `.TH ${name.toUpperCase()} 1 ${day} "mcpctl ${version}" "User Commands"`,
    '.SH NAME',
    `${name} \\- ${escaped(summary)}`,
    '.SH SYNOPSIS',
    `.B ${name}`,
    escaped(words[name]),
    '.SH DESCRIPTION',
    escaped(about),
    ...(help === undefined ? [] : ['.SH COMMANDS AND OPTIONS', '.nf', escaped(help), '.fi']),
    '.SH FILES',
    ...files[name].flatMap(([path, says]) => ['.TP', `.I ${escaped(path)}`, escaped(says)]),
    '.SH SEE ALSO',
    ...Object.keys(words)
      .filter((other) => other !== name)
      .map((other, n, all) => `.BR ${other} (1)${n < all.length - 1 ? ',' : ''}`),
    '',
  ].join('\n');
}

function helpOf(file: string): string {
  const env = { NO_COLOR: '1', COLUMNS: '78', HOME: '/nonexistent' };
  return outputOf(process.execPath, [file, '--help'], { env }).trimEnd();
}
