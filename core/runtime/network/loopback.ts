import ipaddr from 'ipaddr.js';

/** Every address of this machine alone, and the one name that no DNS answers for; without port and brackets. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || (ipaddr.isValid(host) && ipaddr.process(host).range() === 'loopback');

/** What to say of a token that goes to `url`; undefined where nobody on the way can read it. */
export function plainHttpWarning(url: string): string | undefined {
  const { protocol, hostname, host } = new URL(url);
  if (protocol !== 'http:' || isLoopback(hostname.replace(/^\[(.*)\]$/, '$1'))) return undefined;
  return `The token goes to ${host} over plain http: everybody on the way can read it, and all prompts. Use https:// where the server has it.`;
}
