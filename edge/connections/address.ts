import ipaddr from 'ipaddr.js';

/** What counts as one address: an IPv4 address, or the /64 that one IPv6 host has to itself. */
export function addressKey(address: string | undefined): string {
  if (address === undefined || !ipaddr.isValid(address)) return '';
  const parsed = ipaddr.process(address);
  return parsed instanceof ipaddr.IPv6 ? parsed.parts.slice(0, 4).join(':') : parsed.toString();
}
