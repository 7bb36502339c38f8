import { existsSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Whether the kernel side of these streams of events is still attached. Its pinned link (bpf/abi.h) is the only thing that
 * holds it: with the pin removed, by whomever, the kernel detaches the program and tells nobody.
 */
export function isAttached(pinPath: string, streams: readonly string[]): boolean {
  return streams.every((stream) => existsSync(join(pinPath, 'v1', `${stream}_link`)));
}
