import { readFileSync } from 'node:fs';
import { machine, networkInterfaces, release } from 'node:os';

/** What this host is by itself. */
export interface HostFacts {
  readonly osName: string | null;
  readonly osVersion: string | null;
  readonly kernelRelease: string;
  readonly architecture: string;
  /** Without loopback and link-local ones, sorted, without repeats. */
  readonly addresses: readonly string[];
}

/** That of the host before that of a container, which is another distribution. */
const osReleaseFiles = ['/proc/1/root', ''].flatMap((root) =>
  ['/etc/os-release', '/usr/lib/os-release'].map((file) => `${root}${file}`),
);

export function readHostFacts(): HostFacts {
  const { NAME = null, VERSION_ID = null } = parseOsRelease(firstOf(osReleaseFiles) ?? '');
  return {
    osName: NAME,
    osVersion: VERSION_ID,
    kernelRelease: release(),
    architecture: machine(),
    addresses: addressesOf(networkInterfaces()),
  };
}

function firstOf(files: readonly string[]): string | undefined {
  for (const file of files) {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      // Not there, or not for this process to read.
    }
  }
  return undefined;
}

/** os-release(5): assignments of a shell, values quoted or not. */
export function parseOsRelease(content: string): Readonly<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const line of content.split('\n')) {
    const [, name, double, single, plain] =
      /^([A-Z_0-9]+)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S*))\s*$/.exec(line) ?? [];
    const value = double?.replace(/\\(.)/g, '$1') ?? single ?? plain;
    if (name !== undefined && value !== undefined && value !== '') values[name] = value;
  }
  return values;
}

/** libuv writes them as RFC 5952 wants it, without zone. */
export function addressesOf(interfaces: ReturnType<typeof networkInterfaces>): readonly string[] {
  const addresses = Object.values(interfaces)
    .flatMap((found) => found ?? [])
    .filter(({ internal, address }) => !internal && !/^(fe[89ab]|169\.254\.)/.test(address))
    .map(({ address }) => address);
  return [...new Set(addresses)].toSorted();
}
