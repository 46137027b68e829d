import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

export const root = join(import.meta.dirname, '../..');

export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** Every page that a reader of the repository meets, from the root. */
export function pages(): string[] {
  const docs = readdirSync(join(root, 'docs'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.md'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
  return ['README.md', 'CHANGELOG.md', ...docs].sort();
}

/** The text without fenced blocks: what is in them is no markdown. */
export function prose(text: string): string {
  return text.replace(/^```.*?^```/gms, '');
}

/** What stands in backticks, outside of fenced blocks. */
export function spans(text: string): string[] {
  return [...prose(text).matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');
}

/** The first span of a cell: `` `600000` (10 min) `` → `600000`. */
export function span(cell: string | undefined): string {
  return /`([^`]+)`/.exec(cell ?? '')?.[1] ?? '';
}

export type Row = Readonly<Record<string, string>>;

/** The rows of every table whose first heading is `first`, by heading. */
export function tableOf(text: string, first: string): Row[] {
  const rows: Row[] = [];
  let headings: string[] | undefined;
  for (const line of prose(text).split('\n')) {
    const cells = line.startsWith('|') ? cellsOf(line) : undefined;
    if (!cells) headings = undefined;
    else if (!headings) headings = cells;
    else if (headings[0] === first && !/^:?-+:?$/.test(cells[0] ?? '')) {
      const names = headings;
      rows.push(Object.fromEntries(cells.map((cell, at) => [names[at] ?? String(at), cell])));
    }
  }
  return rows;
}

function cellsOf(line: string): string[] {
  return line
    .slice(1, line.trimEnd().lastIndexOf('|'))
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
}
