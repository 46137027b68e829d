import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { settings } from '../../core/runtime/settings/settings.ts';
import { attacks } from '../hostile/attacks.ts';
import { read, root, span, spans, tableOf } from './markdown.ts';

const text = read('docs/security.md');

const units: Readonly<Record<string, number>> = {
  MiB: 2 ** 20,
  KiB: 2 ** 10,
  GB: 1e9,
  MB: 1e6,
  kB: 1e3,
  s: 1e3,
  ms: 1,
};

/** `200 MB` in bytes, `30 s` in milliseconds, `10,000` as it is. */
function numberOf(cell: string): number {
  const [, digits = '', unit] = /^([\d,]+)(?:\s*(MiB|KiB|GB|MB|kB|ms|s)\b)?/.exec(cell.trim()) ?? [];
  return Number(digits.replaceAll(',', '')) * (unit === undefined ? 1 : (units[unit] ?? NaN));
}

describe('docs/security.md', () => {
  it('names for each promise a test, or an attack of npm run hostile, that is there', () => {
    const promises = tableOf(text, 'promise');
    expect(promises.length).to.be.greaterThan(10);
    for (const row of promises) {
      const shown = row['test'] ?? '';
      expect(
        spans(shown).filter((name) => name.startsWith('test/') || name in attacks),
        row['promise'],
      ).to.not.be.empty;
    }
    const files = spans(text).filter((name) => name.startsWith('test/'));
    expect(files.filter((name) => !existsSync(join(root, name)))).to.deep.equal([]);
  });

  it('gives each limit the default that it has', () => {
    const limits = tableOf(text, 'what').filter((row) => span(row['setting']) !== '');
    expect(limits.length).to.be.greaterThan(10);
    for (const row of limits) {
      const setting = Object.values(settings).find(({ env }) => env === span(row['setting']));
      expect(setting, row['what']).to.not.equal(undefined);
      expect(numberOf(row['default'] ?? ''), row['what']).to.equal(setting?.schema().parse(undefined));
    }
  });
});
