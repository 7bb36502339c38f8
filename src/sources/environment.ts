import { type ArgvLimits, presentSegments } from './argv.ts';
import { textOf } from './text.ts';

/**
 * The variables of these names, in their order, out of what the kernel side captured of an environment; of several with
 * the same name the first, which is the one that getenv finds.
 * @param captured its head, in the order of memory: `NAME=value` each, ended by a NUL
 * @param totalBytes of the environment in the process
 * @param pageOffset of the first variable in its page, bytes
 * @param absent bit n is set when the n-th read failed
 */
export function selectVariables(
  captured: Buffer,
  totalBytes: number,
  pageOffset: number,
  absent: number,
  limits: ArgvLimits,
  names: readonly string[],
): Record<string, string> {
  const found = new Map<string, string>();
  for (const { start, end } of presentSegments(captured.length, totalBytes, pageOffset, absent, limits)) {
    // Behind a gap there may be the rest of a variable, in front of one the beginning: neither is taken for a whole one.
    let at = start === 0 ? 0 : captured.indexOf(0, start) + 1;
    if (at === 0 && start > 0) continue;
    for (let nul = captured.indexOf(0, at); nul >= 0 && nul < end; nul = captured.indexOf(0, at)) {
      const equals = captured.subarray(at, nul).indexOf('=');
      if (equals > 0) {
        const name = captured.toString('latin1', at, at + equals);
        if (!found.has(name)) found.set(name, textOf(captured.subarray(at + equals + 1, nul)));
      }
      at = nul + 1;
    }
  }
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = found.get(Buffer.from(name).toString('latin1'));
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
