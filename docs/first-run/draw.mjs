/**
 * Draws `first-run.svg`, the picture in the README, of `transcript.txt`: what a terminal got from a first `npm start`.
 *
 *   script -qfec 'npm start' docs/first-run/transcript.txt   (Ctrl-C once it is ready)
 *   node docs/first-run/draw.mjs
 */
import { readFileSync, writeFileSync } from 'node:fs';

const COLUMNS = 112;
const LINE = 19;
const CHARACTER = 8.43;
const MARGIN = 18;

/** What stands on the screen in the end: a line that was cleared is not there. Paths of the maker's home are Ada's. */
export function linesOf(transcript, home = '/home/ada/.mcpctl') {
  const at = /in (\S+)\/credentials/.exec(transcript)?.[1];
  const shown = at === undefined ? transcript : transcript.replaceAll(at, home);
  return shown
    .split(/\r*\n/)
    .map((line) => line.slice(line.lastIndexOf('\r\u001b[2K') + 1).replace(/\u001b\[[\d;]*[A-Za-z]|\r/g, ''))
    .filter((line) => !/^(Script (started|done)|> (mcpctl@|node ))/.test(line))
    .map((line) => line.replace(`MCPCTL_HOME=${home} `, ''));
}

const escaped = (text) => text.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]);

/** The part that a reader needs: from the beginning to the first command, and the live line. */
export function picture(transcript) {
  const lines = linesOf(transcript);
  const until = lines.findIndex((line) => line.includes('npx mcpctl chat-llm'));
  const live = lines.findLast((line) => / running · \d+ waiting · /.test(line)) ?? '';
  const body = [
    '$ npm start',
    ...lines.slice(0, until < 0 ? lines.length : until + 1),
    '',
    '  …',
    '',
    '  Ctrl-C stops everything.',
    '',
    live,
  ]
    .flatMap((line) => wrapped(line))
    .filter((line, at, all) => line !== '' || (all[at - 1] ?? '') !== '');
  const height = body.length * LINE + MARGIN * 2;
  const width = Math.round(COLUMNS * CHARACTER + MARGIN * 2);
  const rows = body.map((line, at) => {
    const bright = at === 0 || line.startsWith('mcpctl is ready') || line.startsWith('> ') || line === live;
    const y = MARGIN + LINE * (at + 0.75);
    return `<text x="${MARGIN}" y="${y}"${bright ? ' fill="#7ee787"' : ''} xml:space="preserve">${escaped(line)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    '<title>The first npm start in a terminal: it finds or makes what it needs, is ready, and answers once.</title>',
    `<rect width="100%" height="100%" rx="8" fill="#0d1117"/>`,
    `<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14" fill="#c9d1d9">`,
    ...rows,
    '</g>',
    '</svg>',
    '',
  ].join('\n');
}

function wrapped(line) {
  if (line.length <= COLUMNS) return [line];
  const space = line.lastIndexOf(' ', COLUMNS);
  const cut = space > 0 ? space : COLUMNS;
  return [line.slice(0, cut), ...wrapped(line.slice(cut).trimStart())];
}

const here = (name) => new URL(name, import.meta.url);
if (process.argv[1] === here('draw.mjs').pathname)
  writeFileSync(here('first-run.svg'), picture(readFileSync(here('transcript.txt'), 'utf8')));
