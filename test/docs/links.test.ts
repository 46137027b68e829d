import { existsSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect } from 'chai';
import { pages, prose, read, root } from './markdown.ts';

interface Link {
  page: string;
  target: string;
}

const links: Link[] = pages().flatMap((page) =>
  [...prose(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => ({ page, target })),
);
const inside = links.filter(({ target }) => !/^[a-z]+:/.test(target));

/** As the sites that show markdown name a heading. */
const anchorOf = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

describe('the pages', () => {
  it('link only to files that are there', () => {
    expect(inside).to.not.be.empty;
    for (const { page, target } of inside) {
      const path = normalize(join(dirname(page), target.split('#')[0] ?? ''));
      expect(existsSync(join(root, target.startsWith('#') ? page : path)), `${page} → ${target}`).to.equal(
        true,
      );
    }
  });

  it('link only to headings that are there', () => {
    for (const { page, target } of inside.filter((link) => link.target.includes('#'))) {
      const [file = '', anchor = ''] = target.split('#');
      const path = file === '' ? page : normalize(join(dirname(page), file));
      const headings = [...prose(read(path)).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        anchorOf(heading),
      );
      expect(headings, `${page} → ${target}`).to.include(anchor);
    }
  });

  it('are all reached from the README', () => {
    const reached = new Set(['README.md']);
    for (const page of reached)
      for (const { target } of inside.filter((link) => link.page === page)) {
        const path = normalize(join(dirname(page), target.split('#')[0] ?? ''));
        if (path.endsWith('.md') && statSync(join(root, path)).isFile()) reached.add(path);
      }
    expect([...reached]).to.include.members(pages());
  });
});
