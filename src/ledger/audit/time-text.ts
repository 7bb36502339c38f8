/** @param millis since 1970 */
export function isoTime(millis: number): string {
  const time = new Date(millis);
  return Number.isNaN(time.getTime()) ? `${millis}` : time.toISOString();
}

export function seconds(millis: number): string {
  return `${Math.round(millis / 100) / 10} s`;
}
