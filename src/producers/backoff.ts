/**
 * Exponential backoff with full jitter: anything between 0 and the exponential bound, so that a fleet that lost its
 * broker at one moment does not come back at one moment.
 *
 * @param attempt 0 for the first retry
 * @param random in [0, 1)
 * @returns milliseconds
 */
export function backoffMillis(attempt: number, baseMillis: number, capMillis: number, random: number): number {
  // The exponent is capped before the product, which would be Infinity after 1,000 attempts.
  return random * Math.min(capMillis, baseMillis * 2 ** Math.min(attempt, 30));
}
