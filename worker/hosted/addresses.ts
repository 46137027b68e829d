import { lookup as resolveName, type LookupAddress, type LookupAllOptions } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { McpctlError } from '../../core/errors.ts';
import type { Dialling } from '../providers/http/wire/exchange.ts';

/** Addresses that look public and are not: a cloud's metadata and control service. */
const neverPublic = new Set(['168.63.129.16']);

/** As node's `dns.lookup` with `all`. */
export type Resolve = (
  hostname: string,
  options: LookupAllOptions,
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * Which addresses a hosted worker may dial: those of the public internet, and the networks that its operator names.
 * Loopback, private, link-local (metadata), unique-local and carrier networks, and every way to write one of them in
 * IPv6, are somebody's own: whoever may make public llms shall not reach them through this worker.
 * @param networks like `10.0.0.0/8` or `127.0.0.1`, checked by the settings.
 * @internal tests ask it of every notation
 */
export function mayDial(networks: readonly string[]): (address: string) => boolean {
  const allowed = networks.map((text) => {
    const address = ipaddr.process(text.split('/')[0] ?? '');
    const bits = address.kind() === 'ipv4' ? 32 : 128;
    return [address, Number(text.split('/')[1] ?? bits)] as const;
  });
  return (text) => {
    if (isIP(text) === 0) return false;
    const address = plain(ipaddr.process(text));
    const named = allowed.some(
      ([network, bits]) => network.kind() === address.kind() && address.match([network, bits]),
    );
    return named || isPublic(address);
  };
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** What a NAT64 gateway makes of it: the IPv4 address in its last 32 bits. */
function plain(address: Address): Address {
  if (address.kind() !== 'ipv6' || address.range() !== 'rfc6052') return address;
  return ipaddr.fromByteArray(address.toByteArray().slice(12));
}

function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast' || neverPublic.has(address.toString())) return false;
  // Of IPv6 only 2000::/3 is given out.
  return address.kind() === 'ipv4' || ((address.toByteArray()[0] ?? 0) & 0xe0) === 0x20;
}

/**
 * Dials allowed addresses only. What a name leads to is checked where the connection is made from it, so a name that
 * leads elsewhere a moment later (DNS rebinding) gains nothing: a connection that was kept still leads to the address
 * that was checked, and a new one is checked anew.
 */
export function guardedDialling(networks: readonly string[], resolve: Resolve = resolveName): Dialling {
  const may = mayDial(networks);
  const lookup: LookupFunction = (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, []);
      const allowed = addresses.filter(({ address }) => may(address));
      const [first] = allowed;
      if (!first) return callback(new McpctlError('address_refused'), []);
      if (options.all === true) return callback(null, allowed);
      callback(null, first.address, first.family);
    });
  };
  return {
    lookup,
    check(address) {
      if (!may(address)) throw new McpctlError('address_refused');
    },
  };
}
