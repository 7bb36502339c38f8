import { isIPv4, isIPv6 } from 'node:net';

/**
 * Names by which a request may call us.
 * @param listening the host that we listen on, as it was given
 * @param hostName of this host; nobody calls it by that who is on it and listens on loopback
 */
export function namesOf(listening: string, hostName: string): readonly string[] {
  const given = listening.toLowerCase();
  const isLoopback = given === 'localhost' || given === '::1' || (isIPv4(given) && given.startsWith('127.'));
  const names = ['localhost', ...(isIPv4(given) || isIPv6(given) ? [] : [given])];
  return [...new Set(isLoopback ? names : [...names, hostName.toLowerCase()])];
}

/**
 * Whether a request that names this host in its Host header is meant for us. A page of somebody else can make a browser
 * ask its own name, once that name points to us (DNS rebinding); it cannot make it ask for another name. So a name has
 * to be one of ours; an address is no name that could be pointed anywhere.
 *
 * @param header `HOST` or `HOST:PORT`, an IPv6 address in brackets; absent with HTTP/1.0
 * @param names as `namesOf` gives them
 */
export function isOurHost(header: string | undefined, names: readonly string[]): boolean {
  if (header === undefined) return false;
  const [, name = '', address = ''] = /^(?:([^:[\]]+)|\[([^[\]]+)\])(?::\d{1,5})?$/.exec(header) ?? [];
  if (isIPv4(name) || isIPv6(address)) return true;
  return name !== '' && names.includes(name.toLowerCase());
}
