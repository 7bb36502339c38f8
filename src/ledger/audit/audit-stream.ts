import type { AuditFacts, TopicFacts } from './audit-facts.ts';
import type { Problem, StreamReport, Verdict } from './audit-report.ts';
import { checkEntries } from './entry-checks.ts';
import { Findings } from './findings.ts';
import type { HistoryEntry, LedgerHistory } from './ledger-history.ts';
import { net, StreamEntries, upTo } from './stream-entries.ts';
import type { Measure, StreamKind } from './stream-kind.ts';
import { isoTime, seconds } from './time-text.ts';
import { WindowChecks, type WindowTotals } from './window-checks.ts';

/** Where the records of a stream are, and how they are checked. */
export interface StreamSource {
  readonly topic: TopicFacts;
  open(entries: StreamEntries, findings: Findings): StreamKind;
}

export interface StreamInput {
  readonly history: LedgerHistory;
  /** Undefined when this version cannot read the stream's topic. */
  readonly source: StreamSource | undefined;
  readonly facts: AuditFacts;
  /** The same host was attached again later. */
  readonly superseded: boolean;
  /** Found by comparing attaches. */
  readonly problems: readonly Problem[];
}

/** How long an epoch may stay open, and how old the newest entry of a live host may be; milliseconds. */
const patience = 10 * 60_000;

/** Checks the entries of one stream of one attach: each by itself, among themselves, and against the records. */
export function auditStream(input: StreamInput): StreamReport {
  const { history, source, facts, problems } = input;
  const entries = new StreamEntries(history, facts);
  const findings = new Findings(problems);
  const kind = source?.open(entries, findings);
  checkEntries(entries, kind, findings);
  let totals: WindowTotals | undefined;
  if (source !== undefined && kind !== undefined) {
    const home = { clusterId: facts.clusterId, facts: source.topic, records: kind.records };
    totals = new WindowChecks(entries, home, findings).check(kind.measures);
    kind.checkRecords(totals.complete);
  }
  checkEnd(input, entries, kind?.measures ?? [], findings);
  return compose(entries, kind, totals, findings);
}

/** How the account ends: finally, or not yet. */
function checkEnd(
  { facts, superseded }: StreamInput,
  entries: StreamEntries,
  measures: readonly Measure[],
  findings: Findings,
): void {
  const newest = entries.all.at(-1);
  if (newest === undefined || !entries.inRange(newest)) return;
  const { epoch, pending, intervalEnd } = newest;
  const { closedEpoch, hasFinal } = entries;
  const ended = superseded || hasFinal;
  if (superseded && !hasFinal) {
    const text = `no final entry: the host was attached again later, and the account of this attach ends at epoch ${epoch} without saying so`;
    findings.problem('no_final_entry', text, { epoch });
  }
  // The first that stays open: at most one is at a time, and a restart begins another one.
  const open = entries.all.find((entry) => entry.epoch > closedEpoch);
  // The end was told with records in the spool: they are still to come, however old their epoch is.
  const late = newest.state === 'closing' && !newest.closed;
  const age = facts.now - (late ? newest : (open ?? newest)).intervalEnd;
  if (open !== undefined && ((ended && !late) || age > patience)) {
    const since = ended ? 'and nothing came after it' : `for ${seconds(age)}`;
    const text = `stays open: ${pending} ${measures[0]?.noun ?? 'records'} pending in epoch ${open.epoch}, ${since}`;
    findings.problem('stays_open', text, { epoch: open.epoch, count: pending });
  } else if (open !== undefined) {
    findings.note(`${pending} pending in the open epoch ${open.epoch}`);
  }
  const unaccounted =
    newest.state === 'closing' ? 'published after the last entry before the end' : 'not yet accounted';
  for (const { noun, found } of measures) {
    const later = found(closedEpoch, Number.POSITIVE_INFINITY);
    if (later === 0) continue;
    if (newest.state === 'stopped' && newest.closed) {
      const text = `unexpected: ${later} ${noun} after the final entry of epoch ${epoch}`;
      findings.problem('unexpected', text, { after_epoch: epoch, epoch, count: later });
    } else {
      findings.note(`${later} ${noun} ${unaccounted}`);
    }
  }
  if (!ended && facts.now - intervalEnd > patience) findings.note(`silent since ${isoTime(intervalEnd)}`);
}

function compose(
  entries: StreamEntries,
  kind: StreamKind | undefined,
  totals: WindowTotals | undefined,
  findings: Findings,
): StreamReport {
  const { history, all } = entries;
  const audited = all.filter((entry) => entries.inRange(entry));
  const newest = (audited.at(-1) ?? all.at(-1)) as HistoryEntry;
  const closed = entries.closed.filter((entry) => entries.inRange(entry));
  const top = closed.at(-1) ?? newest;
  const firstAudited = closed[0] ?? audited[0];
  const base = entries.closed.findLast(
    (entry) => firstAudited !== undefined && entry.epoch < firstAudited.epoch && !entries.inRange(entry),
  );
  const lost = minus(top.lost, base?.lost);
  const crashed = upTo(top) - (base === undefined ? 0 : upTo(base));
  if (crashed > 0) findings.note(`ended without a word: up to ${crashed} are lost, some of them may be there`);
  const unobserved = top.unobservedMicros - (base?.unobservedMicros ?? 0);
  if (unobserved > 0) findings.note(`not observed for ${seconds(unobserved / 1000)}`);
  const deadLetters = kind?.records.deadLetters ?? 0;
  if (deadLetters > 0) findings.note(`${deadLetters} of the records are dead letters`);
  if (kind === undefined) {
    findings.cannotCheck({
      reason: 'this version does not read the topic of this stream',
      after_epoch: entries.epochOf(-1),
      epoch: top.epoch,
      expected: net(top) - (base === undefined ? 0 : net(base)),
      found: 0,
    });
  } else if (closed.length === 0) {
    const reason = 'no epoch has closed yet';
    findings.cannotCheck({ reason, after_epoch: entries.epochOf(-1), epoch: newest.epoch, expected: 0, found: 0 });
  }
  const { problems, uncheckable, notes } = findings;
  const verdict: Verdict = problems.length > 0 ? 'does not close' : uncheckable.length > 0 ? 'not checkable' : 'closed';
  const [first] = all;
  const [published, filtered] = totals?.found ?? [];
  return {
    host_id: history.hostId,
    host_name: history.hostName,
    boot_id: history.bootId,
    attach_id: history.attachId,
    stream_name: history.streamName,
    attached_at: first !== undefined && first.epoch === history.attachId ? first.intervalStart : null,
    until: newest.intervalEnd,
    state: newest.state,
    entries: audited.length,
    closed_entries: closed.length,
    closed_epoch: closed.at(-1)?.epoch ?? null,
    seen: top.seen - (base?.seen ?? 0),
    published: top.published - (base?.published ?? 0),
    filtered: minus(top.filtered, base?.filtered),
    lost,
    pending: newest.pending,
    unobserved_micros: unobserved,
    records: kind?.records.records ?? 0,
    distinct: totals?.distinct ?? 0,
    dead_letters: deadLetters,
    repeats: kind?.records.repeats ?? 0,
    not_yet_accounted: kind?.measures[0].found(entries.closedEpoch, Number.POSITIVE_INFINITY) ?? 0,
    ...(published === undefined || filtered === undefined ? {} : { packets: { published, filtered } }),
    verdict,
    problems,
    not_checkable: uncheckable,
    notes,
  };
}

function minus(
  counts: Readonly<Record<string, number>>,
  base: Readonly<Record<string, number>> = {},
): Record<string, number> {
  const differences = Object.entries(counts).map(([name, count]) => [name, count - (base[name] ?? 0)] as const);
  return Object.fromEntries(differences.filter(([, count]) => count !== 0));
}
