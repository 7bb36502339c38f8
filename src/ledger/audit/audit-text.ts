import { escapeArgument, escapeText } from '../../terminal.ts';
import { sum } from '../account.ts';
import type { AuditReport, AuditTotals, StreamReport, Uncheckable } from './audit-report.ts';
import { upToReasons } from './stream-entries.ts';
import { isoTime } from './time-text.ts';

const problemsShown = 5;

/** The report for people: a line a stream and attach, then what belongs to none, then the result. */
export function auditLines(report: AuditReport): string[] {
  return [
    ...report.streams.map(streamLine),
    ...report.problems.map(({ text }) => escapeText(text)),
    resultLine(report),
  ];
}

export function streamLine(stream: StreamReport): string {
  const { host_name, host_id, boot_id, attach_id, stream_name, attached_at, packets } = stream;
  const host =
    host_name === null ? escapeArgument(host_id) : `${escapeArgument(host_name)} (${escapeArgument(host_id)})`;
  const attached = attached_at === null ? '' : `, ${isoTime(attached_at)}`;
  const pending = stream.closed_epoch === null ? ` + pending ${stream.pending}` : '';
  const content = packets === undefined ? '' : ` of ${packets.published} packets and ${packets.filtered} filtered`;
  return [
    `${host} boot ${escapeArgument(boot_id)} attach ${attach_id}${attached} ${escapeArgument(stream_name)}:`,
    `seen ${stream.seen} = published ${stream.published} + filtered ${counts(stream.filtered)} + lost ${counts(stream.lost)}${pending};`,
    `records ${stream.records}, distinct ${stream.distinct}${content}, repeats ${stream.repeats};`,
    escapeText([verdictOf(stream), ...stream.notes.map((note) => `(${note})`)].join(' ')),
  ].join(' ');
}

function verdictOf({ verdict, problems, not_checkable, packets }: StreamReport): string {
  const unchecked = not_checkable.map((window) =>
    uncheckableText(window, packets === undefined ? 'records' : 'packets'),
  );
  if (verdict === 'closed') return 'closed';
  if (verdict === 'not checkable') return `not checkable: ${unchecked.join('; ')}`;
  const shown = problems.slice(0, problemsShown).map(({ text }) => text);
  if (problems.length > shown.length) shown.push(`and ${problems.length - shown.length} more (--json has all)`);
  if (unchecked.length > 0) shown.push(`not checkable: ${unchecked.join('; ')}`);
  return `does not close: ${shown.join('; ')}`;
}

function uncheckableText({ reason, after_epoch, epoch, expected, found }: Uncheckable, noun: string): string {
  if (expected === 0 && found === 0) return reason;
  return `${expected - found} of ${expected} ${noun} in epochs ${after_epoch + 1} to ${epoch} (${reason})`;
}

function counts(byName: Readonly<Record<string, number>>): string {
  const parts = Object.entries(byName)
    .toSorted()
    .map(([name, count]) => `${escapeArgument(name)}${upToReasons.has(name) ? ' up to' : ''} ${count}`);
  return parts.length === 0 ? '0' : `${sum(byName)} (${parts.join(', ')})`;
}

export function resultLine({ closes, empty, streams, problems, totals, packet_totals: packets }: AuditReport): string {
  if (empty) return 'nothing to audit: the ledger has no entry of this time';
  if (!closes) {
    const open = streams.filter(({ verdict }) => verdict === 'does not close').length;
    const aside = problems.length === 0 ? '' : `, and ${problems.length} accounts are not in the ledger`;
    const unread = totals.unreadable === 0 ? '' : `; ${totals.unreadable} records could not be read`;
    return `does not close: ${open} of ${streams.length} accounts${aside}${unread}`;
  }
  const ofPackets = streams.filter((stream) => stream.packets !== undefined).length;
  const sums = [figures(streams.length - ofPackets, totals, totals.unreadable)];
  if (packets !== undefined) sums.push(`packets: ${figures(ofPackets, packets)}`);
  const partly = streams.some(({ verdict }) => verdict === 'not checkable');
  const unchecked = [`${totals.not_checkable} records`];
  if (packets !== undefined) unchecked.push(`${packets.not_checkable} packets`);
  const rest = partly ? `; not everything is checkable (${unchecked.join(' and ')} of the ledger)` : '';
  const lost = [];
  if (totals.lost > 0) lost.push(counts(totals.lost_by_reason));
  if (packets !== undefined && packets.lost > 0) lost.push(`packets ${counts(packets.lost_by_reason)}`);
  if (lost.length > 0) return `lost: ${lost.join(', ')}; ${sums.join('; ')}${rest}`;
  const result = !partly
    ? 'nothing lost'
    : streams.every(({ verdict }) => verdict === 'not checkable')
      ? 'not checkable'
      : 'nothing lost in what is checkable';
  return `${result}: ${sums.join('; ')}${rest}`;
}

function figures(accounts: number, totals: Omit<AuditTotals, 'unreadable'>, unreadable = 0): string {
  const shown = [`${accounts} accounts`, `seen ${totals.seen}`, `published ${totals.published}`];
  if (totals.filtered > 0) shown.push(`filtered ${totals.filtered}`);
  shown.push(`records ${totals.records}`, `repeats ${totals.repeats}`);
  if (totals.dead_letters > 0) shown.push(`dead letters ${totals.dead_letters}`);
  if (totals.not_yet_accounted > 0) shown.push(`not yet accounted ${totals.not_yet_accounted}`);
  if (unreadable > 0) shown.push(`could not be read ${unreadable}`);
  return shown.join(', ');
}
