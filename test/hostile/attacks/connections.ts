import { json, overConnections, untilNext, type Attack } from '../attack.ts';
import { headOf } from '../raw.ts';

/** What is done with connections, heads and tokens, mostly by nobody. */
export const connections: Readonly<Record<string, Attack>> = {
  pipelining: {
    about: 'thousands of requests over a connection whose answers are not read',
    prepare: (target) => {
      const requests = Buffer.from(headOf('GET /api/v1/llms', target.token).repeat(1_000));
      return overConnections(target, { count: 4, reads: false }, async (line) => {
        for (let n = 0; n < 30 && line.isOn(); n++) await line.send(requests);
      });
    },
  },
  'wrong-tokens': {
    about: 'ten thousand tokens that are none',
    prepare: (target) =>
      overConnections(target, { count: 20 }, async (line, nth) => {
        for (let n = 0; n < 500 && line.isOn(); n++) {
          await line.send(headOf('GET /api/v1/whoami', `wrong-${String(nth)}-${String(n)}`));
          await untilNext(2);
        }
      }),
  },
  'wrong-cookies': {
    about: 'ten thousand cookies of browsers that are none',
    prepare: (target) =>
      overConnections(target, { count: 20 }, async (line, nth) => {
        for (let n = 0; n < 500 && line.isOn(); n++) {
          const guess = `${String(nth)}-${String(n)}`.padStart(43, 'x');
          await line.send(
            headOf('GET /ui/api/v1/whoami', null, [
              `cookie: mcpctl_ui=${guess}`,
              'sec-fetch-site: same-origin',
            ]),
          );
          await untilNext(2);
        }
      }),
  },
  'kept-connections': {
    about: 'more connections than one address may have, kept and idle',
    prepare: (target) => overConnections(target, { count: 2_000 }, () => Promise.resolve()),
  },
  'long-headers': {
    about: 'headers without end',
    prepare: (target) =>
      overConnections(target, { count: 20 }, async (line) => {
        await line.send('GET /livez HTTP/1.1\r\nhost: localhost\r\n');
        for (let n = 0; n < 100 && line.isOn(); n++)
          await line.send(`x-${String(n)}: ${'h'.repeat(1_000)}\r\n`);
      }),
  },
  'many-headers': {
    about: 'as many headers as fit, and more of the same name',
    prepare: (target) => {
      const head = headOf('GET /livez', null, Array<string>(3_000).fill('a: b'));
      return overConnections(target, { count: 20 }, async (line) => {
        for (let n = 0; n < 20 && line.isOn(); n++) {
          await line.send(head);
          await untilNext(10);
        }
      });
    },
  },
  garbage: {
    about: 'bytes that are no HTTP, as of TLS',
    prepare: (target) => {
      const hello = Buffer.from('160301020001000000', 'hex');
      return overConnections(target, { count: 300 }, async (line) => {
        await line.send(hello);
        while (line.isOn()) await line.send(Buffer.alloc(16_384, 0x16));
      });
    },
  },
  upgrades: {
    about: 'upgrades to WebSocket and HTTP/2, and CONNECT',
    prepare: (target) =>
      overConnections(target, { count: 60 }, async (line, nth) => {
        const to = nth % 2 === 0 ? 'websocket' : 'h2c';
        const upgrade = headOf('GET /api/v1/llms', target.token, [`upgrade: ${to}`, 'connection: upgrade']);
        if (nth % 3 === 0) await line.send(headOf('CONNECT localhost:80', target.token));
        for (let n = 0; n < 50 && line.isOn(); n++) {
          await line.send(upgrade);
          await untilNext(10);
        }
      }),
  },
  'continue-held': {
    about: 'bodies that are announced with 100-continue, and never sent',
    prepare: (target) =>
      overConnections(target, { count: 300 }, (line) =>
        line.send(
          headOf('POST /v1/chat/completions', target.token, [
            json,
            'content-length: 1000000',
            'expect: 100-continue',
          ]),
        ),
      ),
  },
  'connection-storm': {
    about: 'connections that are opened and cut, one after the other',
    prepare: (target) => {
      const head = headOf('GET /livez', null);
      return overConnections(target, { count: 8 }, async (line) => {
        const { openRaw } = await import('../raw.ts');
        while (!line.over.aborted) {
          const raw = await openRaw(target.port);
          await raw.send(head);
          raw.socket.destroy();
          await untilNext(4);
        }
      });
    },
  },
};
