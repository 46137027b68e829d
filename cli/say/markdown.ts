import { plain } from '../../core/runtime/plain.ts';
import type { Output, Paint } from './output.ts';

/** Takes a text in pieces, and shows it. */
export interface TextWriter {
  write(text: string): void;
  /** Nothing more comes. */
  end(): void;
}

/** As it comes, byte for byte. */
export const rawWriter = ({ data }: Pick<Output, 'data'>): TextWriter => ({
  write: data,
  end: () => undefined,
});

/** What follows a mark within a line stays as it is written, but for the marks: code first, for nothing means anything in it. */
function inline(line: string, { bold, yellow }: Paint): string {
  return line
    .split(/(`+[^`]+`+)/)
    .map((part) => {
      const [, ticks = '', code, after] = /^(`+)([^`]+)(`+)$/.exec(part) ?? [];
      if (code !== undefined && ticks === after) return yellow(code);
      return part.replace(/(\*\*|__)(?=\S)(.*?\S)\1/g, (_whole, _mark, strong: string) => bold(strong));
    })
    .join('');
}

/**
 * Shows Markdown line by line: headings, bold, code and lists, each line once it is whole. Nothing is drawn anew, and what is no
 * mark stays as it is.
 */
export function markdownWriter({ styled, paint }: Pick<Output, 'styled' | 'paint'>): TextWriter {
  let rest = '';
  /** What ends the block of code that is open. */
  let fence: string | null = null;
  const line = (text: string): string => {
    const [, mark = ''] = /^ {0,3}(`{3,}|~{3,})/.exec(text) ?? [];
    if (fence === null && mark !== '') {
      fence = mark;
      return paint.dim(text);
    }
    if (fence !== null) {
      if (!text.trim().startsWith(fence) || text.trim().replaceAll(fence[0] ?? '', '') !== '')
        return paint.yellow(text);
      fence = null;
      return paint.dim(text);
    }
    const [, heading] = /^#{1,6} +(.*?)(?: +#+)?$/.exec(text) ?? [];
    if (heading !== undefined) return paint.bold(heading);
    const [, indent, item] = /^( *)[-*+] +(.*)$/.exec(text) ?? [];
    if (indent !== undefined && item !== undefined && !/^([-*] *){2,}$/.test(item))
      return `${indent}• ${inline(item, paint)}`;
    return inline(text, paint);
  };
  return {
    write(text) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const each of lines) styled(line(plain(each.replace(/\r$/, ''))));
    },
    end() {
      if (rest !== '') styled(line(plain(rest)));
      rest = '';
    },
  };
}
