import { isIPv4, isIPv6 } from 'node:net';

/**
 * Whether a request that names this host in its Host header is meant for us. A page of somebody else can make a browser
 * ask its own name, once that name points to us (DNS rebinding); it cannot make it ask for another name. So a name has
 * to be one of ours; an address is no name that could be pointed anywhere.
 *
 * @param header `HOST` or `HOST:PORT`, an IPv6 address in brackets; absent with HTTP/1.0
 * @param configured the host that we listen on, as it was given
 */
export function isOurHost(header: string | undefined, configured: string): boolean {
  if (header === undefined) return false;
  const [, name = '', address = ''] = /^(?:([^:[\]]+)|\[([^[\]]+)\])(?::\d{1,5})?$/.exec(header) ?? [];
  if (isIPv4(name) || isIPv6(address)) return true;
  return name !== '' && ['localhost', configured.toLowerCase()].includes(name.toLowerCase());
}
