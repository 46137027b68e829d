import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { guardedDialling, mayDial, type Resolve } from '../../worker/hosted/addresses.ts';
import { createExchange, type Exchange } from '../../worker/providers/http/wire/exchange.ts';

const refused = [
  ...['127.0.0.1', '127.255.0.9', '0.0.0.0', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1'],
  ...['169.254.169.254', '100.64.0.1', '100.100.100.200', '168.63.129.16', '192.0.0.192', '198.18.0.1'],
  ...['224.0.0.1', '255.255.255.255', '240.0.0.1'],
  ...[
    '::',
    '::1',
    'fe80::1',
    'fe80::1%eth0',
    'fc00::1',
    'fd00:ec2::254',
    'fec0::1',
    'ff02::1',
    '2001:db8::1',
  ],
  // The same, written as IPv6: mapped, translated, compatible, tunnelled.
  ...['::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:a9fe:a9fe', '64:ff9b::7f00:1', '64:ff9b::10.0.0.1'],
  ...['::127.0.0.1', '::ffff:0:127.0.0.1', '2002:7f00:1::', '2001:0:7f00:1::1', '64:ff9b:1::a00:1'],
  ...['', 'localhost', '1.2.3', '1.2.3.4.5'],
];
const open = ['8.8.8.8', '1.1.1.1', '172.32.0.1', '::ffff:8.8.8.8', '2606:4700::1111', '64:ff9b::808:808'];

describe('the addresses that a hosted worker may dial', () => {
  it('are those of the public internet, however they are written', () => {
    const may = mayDial([]);
    expect(refused.filter(may)).to.deep.equal([]);
    expect(open.filter((address) => !may(address))).to.deep.equal([]);
  });

  it('and the networks that its operator names, and nothing beside them', () => {
    const may = mayDial(['10.0.0.0/8', '127.0.0.1', 'fd00:1::/32', '169.254.169.0/24']);
    const also = ['10.255.0.1', '127.0.0.1', '::ffff:10.0.0.1', 'fd00:1::5', '169.254.169.254'];
    expect(also.filter((address) => !may(address))).to.deep.equal([]);
    expect(['127.0.0.2', '11.0.0.1', '192.168.0.1', 'fd00:2::5', '::1'].filter(may)).to.deep.equal([
      '11.0.0.1',
    ]);
    expect(mayDial(['0.0.0.0/0'])('127.0.0.1')).to.equal(true);
    expect(mayDial(['0.0.0.0/0'])('::1')).to.equal(false);
    expect(mayDial(['::ffff:10.0.0.0/8'.slice(7)])('10.0.0.1')).to.equal(true);
  });

  describe('over a connection', () => {
    let server: Server;
    let port: number;
    let came = 0;
    let keeps = true;
    let resets = false;
    const ask = async (exchange: Exchange, host: string): Promise<unknown> => {
      const signal = AbortSignal.timeout(10_000);
      const url = new URL(`http://${host}:${String(port)}/`);
      try {
        const answer = await exchange({ method: 'GET', url, headers: {}, signal });
        await answer.text(100);
        return answer.status;
      } catch (thrown) {
        return (thrown as { code?: unknown }).code;
      }
    };
    const leadsTo =
      (...answers: string[][]): Resolve =>
      (_name, _options, done) =>
        done(
          null,
          (answers.shift() ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
        );

    /** The first name leads to us, which is allowed; the next is what a rebinding name answers. */
    const rebinding = () => {
      const seen: string[] = [];
      const resolve: Resolve = (name, _options, done) => {
        seen.push(name);
        done(null, [{ address: seen.length === 1 ? '127.0.0.1' : '127.0.0.2', family: 4 }]);
      };
      return { exchange: createExchange(guardedDialling(['127.0.0.1/32'], resolve)), seen };
    };

    before(async () => {
      server = createServer((req, res) => {
        if (resets) return void req.socket.resetAndDestroy();
        came += 1;
        if (!keeps) res.setHeader('connection', 'close');
        res.end('ok');
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      port = (server.address() as AddressInfo).port;
    });
    beforeEach(() => {
      came = 0;
      keeps = true;
      resets = false;
    });
    after(() => server.close());

    it('are checked when they stand in the URL, in every notation', async () => {
      const exchange = createExchange(guardedDialling([]));
      for (const host of [
        '127.0.0.1',
        '0x7f000001',
        '2130706433',
        '127.1',
        '0177.0.0.1',
        '[::ffff:127.0.0.1]',
      ])
        expect(await ask(exchange, host), host).to.equal('address_refused');
      expect(came).to.equal(0);
      expect(await ask(createExchange(guardedDialling(['127.0.0.1'])), '127.0.0.1')).to.equal(200);
    });

    it('are checked when a name leads to them', async () => {
      expect(await ask(createExchange(guardedDialling([])), 'localhost')).to.equal('address_refused');
      const resolve = leadsTo(['127.0.0.1', '::1'], ['127.0.0.1']);
      expect(await ask(createExchange(guardedDialling([], resolve)), 'inside.test')).to.equal(
        'address_refused',
      );
      expect(came).to.equal(0);
      expect(await ask(createExchange(guardedDialling(['127.0.0.0/8'], resolve)), 'inside.test')).to.equal(
        200,
      );
    });

    it('are checked each time that a name is dialled: where it led to the internet it may lead inside now', async () => {
      const { exchange, seen } = rebinding();
      keeps = false;
      expect(await ask(exchange, 'rebinds.test')).to.equal(200);
      expect(await ask(exchange, 'rebinds.test')).to.equal('address_refused');
      expect([seen.length, came]).to.deep.equal([2, 1]);
    });

    it('are those that were checked, of a connection that is kept, and of no other name', async () => {
      const { exchange, seen } = rebinding();
      expect(await ask(exchange, 'rebinds.test')).to.equal(200);
      await turn(); // only then is a connection free
      expect(await ask(exchange, 'rebinds.test')).to.equal(200); // to 127.0.0.1, whatever the name leads to now
      expect(seen).to.deep.equal(['rebinds.test']);
      await turn();
      expect(await ask(exchange, 'other.test')).to.equal('address_refused');
      expect(seen).to.deep.equal(['rebinds.test', 'other.test']);
    });

    it('are checked again where a kept connection was closed as it was used', async () => {
      const { exchange, seen } = rebinding();
      expect(await ask(exchange, 'rebinds.test')).to.equal(200);
      await turn();
      resets = true;
      expect(await ask(exchange, 'rebinds.test')).to.equal('address_refused');
      expect(seen).to.have.length(2);
    });

    it('leave those of a name out that are refused, and dial the others', async () => {
      const resolve = leadsTo(['127.0.0.2', '127.0.0.1']);
      expect(await ask(createExchange(guardedDialling(['127.0.0.1'], resolve)), 'both.test')).to.equal(200);
    });
  });
});
