import { expect } from 'chai';
import { retryAfterIn } from '../../../core/judge/retry-after.ts';

describe('Retry-After', () => {
  const now = Date.UTC(2026, 10, 28, 12, 0, 0);
  const asks = (header: unknown): number | undefined => retryAfterIn(header, now);

  it('is a number of seconds, or a date of each of the three forms of HTTP, whatever the zone of this machine', () => {
    const zone = process.env['TZ'];
    try {
      for (const tz of ['UTC', 'America/New_York', 'Asia/Tokyo']) {
        process.env['TZ'] = tz;
        expect(asks('30')).to.equal(30);
        expect(asks(' 1.5 ')).to.equal(1.5);
        expect(asks('Sat, 28 Nov 2026 12:00:30 GMT')).to.equal(30);
        expect(asks('Saturday, 28-Nov-26 12:00:30 GMT')).to.equal(30);
        expect(asks('Sat Nov 28 12:00:30 2026'), tz).to.equal(30);
      }
    } finally {
      if (zone === undefined) delete process.env['TZ'];
      else process.env['TZ'] = zone;
    }
  });

  it('is a date of ISO, Unix time, or what two on the way have said, as gateways send it', () => {
    expect(asks('2026-11-28T12:00:30Z')).to.equal(30);
    expect(asks('2026-11-28T13:00:30+01:00')).to.equal(30);
    expect(asks(String(now / 1_000 + 30))).to.equal(30);
    expect(asks(String(now + 30_000))).to.equal(30);
    expect(asks(String(now / 1_000 - 30))).to.equal(undefined);
    expect(asks('30, 30')).to.equal(30);
  });

  it('says nothing where it is past, or none; and no more than a day where it is absurd', () => {
    for (const header of [undefined, '', 'soon', '-5', '30s', 'NaN', '1e9', 'Fri, 27 Nov 2026 12:00:00 GMT'])
      expect(asks(header), header).to.equal(undefined);
    expect(asks({})).to.equal(undefined);
    expect(asks('99999999999999999999')).to.equal(86_400);
    expect(asks('Sat, 28 Nov 2099 12:00:30 GMT')).to.equal(86_400);
    expect(asks(['7', '9'])).to.equal(7);
  });
});
