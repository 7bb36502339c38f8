import { sum } from '../account.ts';
import type { AuditTotals, StreamReport } from './audit-report.ts';

/**
 * What streams of one kind add up to: execs and packets make no sum.
 * @param fresh events of records whose stream has no entry yet
 */
export function totalsOf(streams: readonly StreamReport[], fresh: number): Omit<AuditTotals, 'unreadable'> {
  const total = (figure: (stream: StreamReport) => number) => streams.reduce((all, stream) => all + figure(stream), 0);
  const byReason: Record<string, number> = {};
  for (const { lost } of streams) {
    for (const [reason, count] of Object.entries(lost)) byReason[reason] = (byReason[reason] ?? 0) + count;
  }
  return {
    seen: total(({ seen }) => seen),
    published: total(({ published }) => published),
    filtered: total(({ filtered }) => sum(filtered)),
    lost: sum(byReason),
    lost_by_reason: byReason,
    records: total(({ records }) => records),
    repeats: total(({ repeats }) => repeats),
    dead_letters: total(({ dead_letters }) => dead_letters),
    not_yet_accounted: total(({ not_yet_accounted }) => not_yet_accounted) + fresh,
    not_checkable: total(({ not_checkable }) =>
      not_checkable.reduce((all, { expected, found }) => all + expected - found, 0),
    ),
  };
}
