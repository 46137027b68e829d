import { lookup } from 'node:dns/promises';
import { connect as connectPlain, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { whoamiSchema, type Whoami } from '../../../core/access.ts';
import { pause, systemClock } from '../../../core/runtime/clock.ts';
import { ownPackage } from '../../../core/runtime/files/own-package.ts';
import type { Network } from '../../../core/runtime/network/network.ts';
import { oneLine } from '../../../core/runtime/plain.ts';
import { callServer, understood, type JoinedServer } from '../server-calls.ts';

/** Of a certificate's own words. */
const MOST_SHOWN = 80;

interface Certificate {
  until: Date;
  by: string;
}

/** What is known of a server before anything is told to it. */
interface WayThere {
  /** The steps there, each with how long it took; what is not known is left out. */
  steps: readonly string[];
  certificate: Certificate | null;
  /** How far its clock and this machine's are apart. */
  skewS: number;
}

interface Reached {
  /** Milliseconds. */
  dnsMs: number;
  tcpMs: number;
  tls: Certificate | null;
}

/** The way to the server, step by step, as nothing else tells which of them is slow. @throws what breaks it. */
async function reach(url: URL, late: AbortSignal): Promise<Reached> {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port);
  const began = performance.now();
  await lookup(host);
  const dnsMs = performance.now() - began;
  const socket = connectPlain({ host, port, signal: late });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const tcpMs = performance.now() - began - dnsMs;
    if (url.protocol !== 'https:') return { dnsMs, tcpMs, tls: null };
    // Whether it is trusted is told by the call that follows, with the authorities of the settings.
    const servername = isIP(host) === 0 ? host : ''; // an address is no name to ask for
    const secured = connectTls({ socket, servername, rejectUnauthorized: false });
    const tls = await new Promise<Certificate>((resolve, reject) => {
      secured.once('error', reject);
      secured.once('secureConnect', () => {
        const { valid_to: until, issuer } = secured.getPeerCertificate();
        const by = oneLine([issuer.O ?? issuer.CN ?? ''].flat().join(', ')).slice(0, MOST_SHOWN);
        resolve({ until: new Date(until), by });
      });
    });
    return { dnsMs, tcpMs, tls };
  } finally {
    socket.destroy();
  }
}

const ms = (value: number): string => `${String(Math.round(value))} ms`;

/** What can be told of it in time, of one that accepts and says nothing too; what breaks it the call that follows says, in a sentence. */
async function reachedWithin(withinMs: number, url: URL): Promise<Partial<Reached>> {
  const over = new AbortController();
  const late = pause(withinMs, over.signal).then(() => ({}));
  try {
    return await Promise.race([reach(url, over.signal).catch(() => ({})), late]);
  } finally {
    over.abort();
  }
}

/** @throws McpctlError as `callServer`: it cannot be reached, or is not trusted. */
export async function lookThere(network: Network, server: string, withinMs: number): Promise<WayThere> {
  const url = new URL(server);
  const isDirect = network.direct(url);
  const reached: Partial<Reached> = isDirect ? await reachedWithin(withinMs, url) : {};
  const { dnsMs, tcpMs, tls = null } = reached;
  const timed = dnsMs !== undefined && tcpMs !== undefined ? [`DNS ${ms(dnsMs)}`, `TCP ${ms(tcpMs)}`] : [];
  const { date } = await callServer(network, server, { method: 'GET', path: '/livez', withinMs });
  const skewS = date === undefined ? 0 : Math.abs(systemClock.now() - Date.parse(date)) / 1_000;
  return { steps: isDirect ? timed : ['through a proxy'], certificate: tls, skewS };
}

export const clocksApart = ({ skewS }: WayThere): string => `clocks ${skewS.toFixed(1)} s apart`;

/** Who a token is of, and what it may. @throws McpctlError as `callServer`. */
export async function whoIs(
  network: Network,
  { server, token }: JoinedServer,
  withinMs: number,
): Promise<Whoami> {
  const call = { method: 'GET', path: '/api/v1/whoami', token, withinMs } as const;
  return understood(whoamiSchema, (await callServer(network, server, call)).json);
}

/** Which release is here, and which there; with what to do where they are two. */
export function releases(there: string): { says: string; fix?: string } {
  const { version: own } = ownPackage();
  if (there === own) return { says: `${own}, as the server` };
  return {
    says: `here ${own}, at the server ${there}`,
    fix: 'mcplocal update says how to get the same',
  };
}
