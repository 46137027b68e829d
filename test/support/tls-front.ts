import { generateKeyPairSync, sign } from 'node:crypto';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';
import { createSockets } from './sockets.ts';

/** What speaks TLS before an edge, a Redis or a Postgres, as platforms do, with a certificate that no public authority knows. */
export interface TlsFront {
  port: number;
  /** The certificate, PEM: whoever trusts it trusts the front. */
  certificate: string;
  close(): Promise<void>;
}

/**
 * @param name what the certificate is for; its clients must call the front by it.
 * @param how `postgres`: TLS begins when the client asks for it (SSLRequest), as Postgres has it.
 */
export async function startTlsFront(
  name: string,
  target: { url: string },
  how: { postgres?: boolean } = {},
): Promise<TlsFront> {
  const { key, certificate } = certify(name);
  const { hostname, port } = new URL(target.url);
  const sockets = createSockets();
  const join = (near: Socket): void => sockets.join(near, connect(Number(port), hostname));
  const tls = { key, cert: certificate };
  const server = how.postgres === true ? afterRequest(tls, join) : createTlsServer(tls, join);
  server.on('tlsClientError', () => undefined); // one that does not trust the certificate
  server.on('connection', (socket: Socket) => sockets.keep(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    certificate,
    close: () => sockets.closeWith(server),
  };
}

/** Length 8, then the number that means "TLS, please". */
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/** Whoever does not ask for TLS is refused, in the words of a Postgres with `hostssl` lines alone. */
function afterRequest(tls: { key: string; cert: string }, join: (near: Socket) => void): Server {
  return createServer((socket) => {
    socket.once('data', (asked: Buffer) => {
      if (!asked.equals(sslRequest))
        return void socket.end(refusal('no pg_hba.conf entry for host, no encryption'));
      socket.write('S');
      const near = new TLSSocket(socket, { isServer: true, ...tls });
      near.on('error', () => socket.destroy());
      near.once('secure', () => join(near));
    });
  });
}

/** An ErrorResponse of Postgres. */
function refusal(why: string): Buffer {
  const fields = Buffer.from(`SFATAL\0C28000\0M${why}\0\0`);
  const head = Buffer.alloc(5, 'E');
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

const DAY_MS = 24 * 60 * 60 * 1_000;

/** A key and a certificate for `name`, signed by itself (RFC 5280; made by hand, for Node has no maker of them). */
function certify(name: string): { key: string; certificate: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaWithSha256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
  const commonName = sequence(tagged(0x31, sequence(oid(0x55, 0x04, 0x03), tagged(0x0c, Buffer.from(name)))));
  const alternativeName = sequence(tagged(0x82, Buffer.from(name)));
  const now = performance.timeOrigin + performance.now();
  const body = sequence(
    tagged(0xa0, tagged(0x02, Buffer.of(2))), // version 3
    tagged(0x02, Buffer.of(1)), // serial number
    ecdsaWithSha256,
    commonName, // issuer
    sequence(utcTime(now - DAY_MS), utcTime(now + DAY_MS)),
    commonName, // subject
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(sequence(oid(0x55, 0x1d, 0x11), tagged(0x04, alternativeName)))),
  );
  const signature = Buffer.concat([Buffer.of(0), sign('sha256', body, privateKey)]);
  const der = sequence(body, ecdsaWithSha256, tagged(0x03, signature));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  const certificate = ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), certificate };
}

/** DER: a tag, the length in as few bytes as it needs, the content. */
function tagged(tag: number, ...content: Buffer[]): Buffer {
  const bytes = Buffer.concat(content);
  const { length } = bytes;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), bytes]);
}
const sequence = (...content: Buffer[]): Buffer => tagged(0x30, ...content);
const oid = (...bytes: number[]): Buffer => tagged(0x06, Buffer.of(...bytes));
const utcTime = (at: number): Buffer =>
  tagged(0x17, Buffer.from(`${new Date(at).toISOString().replace(/\D/g, '').slice(2, 14)}Z`));
