import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Bpf2KafkaError, reasonOf } from '../errors.ts';

/** What an addon has to fit. */
export interface Platform {
  /** As in `x64`. */
  readonly arch: string;
  /** Of glibc; undefined when the system has another C library. */
  readonly glibc: string | undefined;
}

/** Platforms whose addon is in the npm package; for others it is built in a checkout. */
const prebuilt = ['x64'];

/** From here on (docs/deploy.md); libc.so.6 says the same in fewer words. */
const oldestGlibc = '2.34';

const checkoutRemedy = 'build it there: clone the repository and run `npm run setup`';

export function thisPlatform(): Platform {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return { arch: process.arch, glibc: header.glibcVersionRuntime };
}

/**
 * Where the addon is: the build of the checkout, otherwise the one that the package brings.
 *
 * @param root the directory of package.json
 * @throws Bpf2KafkaError ERR_ADDON when there is none for this platform
 */
export function findAddon(root: string, platform: () => Platform = thisPlatform): string {
  const built = join(root, 'build', 'Release', 'bpf2kafka.node');
  if (existsSync(built)) return built;
  const brought = join(root, 'dist', 'addon', `linux-${process.arch}`, 'bpf2kafka.node');
  if (existsSync(brought)) return brought;
  throw missing(root, platform());
}

function missing(root: string, platform: Platform): Bpf2KafkaError {
  const refused = unsupported(platform);
  if (refused !== undefined) return refused;
  const fromSource = !prebuilt.includes(platform.arch);
  return new Bpf2KafkaError('ERR_ADDON', {
    operation: 'load the native addon',
    reason: fromSource
      ? `the package brings it for ${prebuilt.join(', ')} only; this machine is ${platform.arch}`
      : `it is not in ${root}`,
    remedy: fromSource ? checkoutRemedy : 'install the package again, or run `npm run setup` in a checkout',
  });
}

/** Says why an addon that is there does not load. */
export function explainAddonFailure(error: unknown, platform: () => Platform = thisPlatform): Bpf2KafkaError {
  const refused = unsupported(platform());
  if (refused !== undefined) return refused;
  const reason = reasonOf(error);
  const oldSystem = /version `(GLIBC|GLIBCXX)_/.test(reason);
  return new Bpf2KafkaError('ERR_ADDON', {
    operation: 'load the native addon',
    reason,
    remedy: oldSystem
      ? `glibc ${oldestGlibc} or newer is needed, or ${checkoutRemedy}`
      : 'build it with `npm run setup`',
    cause: error,
  });
}

/** Where no addon can be, whoever builds it. */
function unsupported({ arch, glibc }: Platform): Bpf2KafkaError | undefined {
  const operation = 'load the native addon';
  if (arch !== 'x64' && arch !== 'arm64') {
    return new Bpf2KafkaError('ERR_ADDON', { operation, reason: `bpf2kafka runs on x64 and arm64; this is ${arch}` });
  }
  if (glibc !== undefined) return undefined;
  return new Bpf2KafkaError('ERR_ADDON', {
    operation,
    reason: 'it needs glibc; this system has another C library (musl?)',
    remedy: 'run it on a distribution with glibc; in a container, take an image such as Debian',
  });
}
