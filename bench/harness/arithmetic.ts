/** What rounds come to. Every list has at least one value. */

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

export function minimum(values: readonly number[]): number {
  return Math.min(...nonEmpty(values));
}

export function maximum(values: readonly number[]): number {
  return Math.max(...nonEmpty(values));
}

/** The value below which `percent` of the values lie, between two of them by straight line. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...nonEmpty(values)].sort((a, b) => a - b);
  const place = ((sorted.length - 1) * percent) / 100;
  const low = sorted[Math.floor(place)] as number;
  const high = sorted[Math.ceil(place)] as number;
  return low + (high - low) * (place - Math.floor(place));
}

function nonEmpty(values: readonly number[]): readonly number[] {
  if (values.length === 0) throw new RangeError('no round was measured');
  return values;
}

/** Undefined when there is nothing to divide by: a rival that is lost in the noise, below 0 even, is no measure. */
export function ratioOf(ours: number | undefined, rival: number | undefined): number | undefined {
  if (ours === undefined || rival === undefined || rival <= 0) return undefined;
  return ours / rival;
}
