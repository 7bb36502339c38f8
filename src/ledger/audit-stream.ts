import { sum } from './account.ts';
import type { Problem, ProblemKind, StreamReport, Uncheckable, Verdict } from './audit-report.ts';
import { type HistoryEntry, type LedgerHistory, type Place, sameCounts } from './ledger-history.ts';
import type { RecordTally } from './record-tally.ts';

/** What is known of the topic and the time when everything has been read. */
export interface AuditFacts {
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly clusterId: string;
  /** Full name of the topic with the records. */
  readonly topic: string;
  /** Offset of the first record that is still there, and of the next one to be written. */
  readonly partitions: readonly { readonly partition: number; readonly logStart: number; readonly end: number }[];
  /** Records that could not be decoded. */
  readonly unreadable?: number;
  /** Only entries whose interval lies in this time are audited; milliseconds since 1970. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

export interface StreamInput {
  readonly history: LedgerHistory;
  /** Undefined when this version cannot read the stream's topic. */
  readonly tally: RecordTally | undefined;
  readonly facts: AuditFacts;
  /** The same host was attached again later. */
  readonly superseded: boolean;
  /** Found by comparing attaches. */
  readonly problems: readonly Problem[];
}

/** How long an epoch may stay open, and how old the newest entry of a live host may be; milliseconds. */
const patience = 10 * 60_000;
const seqsNamed = 5;

/** Reasons whose events never got a sequence number; every other loss is a hole. */
const lostWithoutSeq: ReadonlySet<string> = new Set(['skipped', 'fell_through']);
/** Written for an attach that ended without a word: what was pending, of which some may have been published. */
export const upToReasons: ReadonlySet<string> = new Set(['host_crash', 'pins_removed']);

export function auditStream(input: StreamInput): StreamReport {
  return new StreamAudit(input).report();
}

class StreamAudit {
  readonly #input: StreamInput;
  readonly #entries: readonly HistoryEntry[];
  /** Ordered by epoch, one an epoch. */
  readonly #closed: HistoryEntry[] = [];
  /** Where each of them stands among the entries. */
  readonly #positions: number[] = [];
  readonly #hasFinalEntry: boolean;
  /** Position of the newest entry whose records went to the topic that is audited; -1: none, it is a copy. */
  readonly #lastAtHome: number;
  readonly #problems: Problem[] = [];
  readonly #uncheckable: Uncheckable[] = [];
  readonly #notes: string[] = [];
  /** By index of the closed entry: every record of its window is there. */
  readonly #complete: boolean[] = [];
  #distinct = 0;

  constructor(input: StreamInput) {
    this.#input = input;
    const all = input.history.ordered();
    const regular = all.findLast(({ state }) => state !== 'closing');
    // After `stopped` it can have gone on: a process that was killed before it had removed the pins.
    this.#hasFinalEntry = all.some(({ state }) => state === 'closing') || all.at(-1)?.state === 'stopped';
    this.#entries = all.flatMap((entry) => closingInPlace(entry, regular));
    this.#lastAtHome = this.#entries.findLastIndex(({ place }) => place !== null && this.#isHome(place));
    for (const [position, entry] of this.#entries.entries()) {
      if (!entry.closed || this.#closed.at(-1)?.epoch === entry.epoch) continue;
      this.#closed.push(entry);
      this.#positions.push(position);
    }
  }

  report(): StreamReport {
    this.#problems.push(...this.#input.problems);
    this.#checkEntries();
    this.#checkSequence();
    this.#checkOffsets();
    this.#checkWindows();
    this.#checkNumbers();
    this.#checkHoles();
    this.#checkRecords();
    this.#checkEnd();
    return this.#compose();
  }

  get #tally(): RecordTally {
    return this.#input.tally as RecordTally;
  }

  get #attachId(): number {
    return this.#input.history.attachId;
  }

  /** -1 stands for the beginning of the attach. */
  #epochOf(index: number): number {
    return this.#closed[index]?.epoch ?? this.#attachId - 1;
  }

  #inRange({ intervalStart, intervalEnd }: HistoryEntry): boolean {
    const { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY } = this.#input.facts;
    return intervalStart >= since && intervalEnd <= until;
  }

  #problem(kind: ProblemKind, text: string, more: Omit<Problem, 'kind' | 'text'> = {}): void {
    this.#problems.push({ kind, text, ...more });
  }

  /** Each entry by itself. */
  #checkEntries(): void {
    for (const entry of this.#entries) {
      if (!this.#inRange(entry)) continue;
      const { epoch, seen, published, pending, filtered, lost } = entry;
      const about = { epoch };
      for (const [name, count] of Object.entries(countsOf(entry))) {
        if (count < 0) this.#problem('unbalanced', `unbalanced: ${name} is ${count} in epoch ${epoch}`, about);
      }
      const gap = seen - published - pending - sum(filtered) - sum(lost);
      if (gap !== 0) {
        const terms = `published ${published} + filtered ${sum(filtered)} + lost ${sum(lost)} + pending ${pending}`;
        const text = `unbalanced: seen ${seen} is not ${terms} in epoch ${epoch} (${gap} unexplained)`;
        this.#problem('unbalanced', text, { ...about, count: Math.abs(gap) });
      } else if (entry.unexplained !== 0) {
        const text = `unbalanced: the entry of epoch ${epoch} says ${entry.unexplained} unexplained, and its terms say 0`;
        this.#problem('unbalanced', text, about);
      }
      if (entry.closed !== (pending === 0)) {
        const said = entry.closed ? 'closed' : 'open';
        this.#problem('unbalanced', `unbalanced: epoch ${epoch} is called ${said} with ${pending} pending`, about);
      }
      const watermarkMissing = entry.closed && entry.state !== 'closing' && entry.lowWatermark < this.#attachId;
      if (watermarkMissing) {
        const text = `low_watermark of the closed epoch ${epoch} is ${entry.lowWatermark}, below the first sequence number ${this.#attachId}`;
        this.#problem('watermark_falls', text, about);
      }
    }
  }

  /** Each entry beside the one before it. */
  #checkSequence(): void {
    let watermark = 0;
    for (const [index, entry] of this.#entries.entries()) {
      const before = this.#entries[index - 1];
      const { epoch, lowWatermark } = entry;
      // 0 says that it is not known: an entry of a process that has not closed an epoch yet.
      if (lowWatermark !== 0) {
        if (lowWatermark < watermark && this.#inRange(entry)) {
          const text = `low_watermark falls from ${watermark} to ${lowWatermark} in epoch ${epoch}`;
          this.#problem('watermark_falls', text, { epoch });
        }
        watermark = Math.max(watermark, lowWatermark);
      }
      if (before === undefined || !this.#inRange(entry)) continue;
      const counts = countsOf(entry);
      const countsBefore = countsOf(before);
      if (before.epoch === epoch && before.closed && entry.closed) {
        // What is written later knows of more time that nobody observed, and of nothing else.
        const later = entry.state === 'closing' ? { unobserved_micros: counts.unobserved_micros as number } : {};
        if (!sameCounts(counts, { ...countsBefore, ...later })) {
          const text = `conflicting entries: epoch ${epoch} is closed twice with different counts`;
          this.#problem('conflicting_entries', text, { epoch });
        }
        continue;
      }
      for (const [name, count] of Object.entries(countsBefore)) {
        const now = counts[name] ?? 0;
        if (now >= count) continue;
        this.#problem('count_falls', `${name} falls from ${count} to ${now} in epoch ${epoch}`, { epoch });
      }
    }
  }

  /** Acknowledged offsets of one partition only grow, unless the broker has forgotten what it acknowledged. */
  #checkOffsets(): void {
    const highest = new Map<Place, number>();
    for (const { place, lastOffset, epoch, ...entry } of this.#entries) {
      if (place === null || lastOffset < 0) continue;
      const before = highest.get(place) ?? -1;
      if (lastOffset < before && this.#inRange({ place, lastOffset, epoch, ...entry })) {
        const text = `broker_rewound: partition ${place.partition} of ${place.topic} acknowledged offset ${before}, and later ${lastOffset} (epoch ${epoch}): it lost what it had acknowledged, or was made anew`;
        this.#problem('broker_rewound', text, { epoch });
      }
      highest.set(place, lastOffset);
    }
  }

  /** Between two closed entries the records are those that the counts tell of. */
  #checkWindows(): void {
    if (this.#input.tally === undefined) return;
    for (const [index, entry] of this.#closed.entries()) {
      const after = this.#epochOf(index - 1);
      const { epoch } = entry;
      const before = this.#closed[index - 1];
      // A record with an epoch from before the attach counts into the first window, where it is too many.
      const found = this.#tally.distinct(before === undefined ? Number.NEGATIVE_INFINITY : after, epoch);
      const expected = net(entry) - (before === undefined ? 0 : net(before));
      const most = expected + upTo(entry) - (before === undefined ? 0 : upTo(before));
      // It tells what was known last, and more may have been published after that.
      const openEnded = entry.state === 'closing' && index === this.#closed.length - 1;
      this.#complete[index] = found >= expected && (found <= most || openEnded);
      if (!this.#inRange(entry)) continue;
      this.#distinct += found;
      const window = { after_epoch: after, epoch };
      const words = `in epochs ${after + 1} to ${epoch}`;
      if (found > most && openEnded) {
        this.#notes.push(`${found - most} records published after the last entry before the end`);
      } else if (found > most) {
        const text = `unexpected: ${found} records ${words}, and the ledger tells of ${expected}`;
        this.#problem('unexpected', text, { ...window, count: found - most });
      } else if (found < expected) {
        this.#explainMissing(index, expected, found, words);
      }
    }
  }

  #explainMissing(index: number, expected: number, found: number, words: string): void {
    const entry = this.#closed[index] as HistoryEntry;
    const window = { after_epoch: this.#epochOf(index - 1), epoch: entry.epoch };
    const standing = this.#standing(index);
    if (standing.kind === 'deleted') {
      const last = this.#uncheckable.at(-1);
      if (last !== undefined && last.reason === standing.reason && last.epoch === window.after_epoch) {
        const sums = { expected: last.expected + expected, found: last.found + found };
        this.#uncheckable.splice(-1, 1, { ...last, ...sums, epoch: entry.epoch });
      } else {
        this.#uncheckable.push({ reason: standing.reason, ...window, expected, found });
      }
      return;
    }
    const count = expected - found;
    const { seqs, text: where } = this.#holesOf(index);
    // Without a hole nothing was numbered that is gone: then it is the ledger that tells of too much.
    const possible = seqs.length > 0 || !(this.#nextCut(index) || entry.state === 'stopped');
    const acknowledged = standing.kind === 'gone' || (standing.kind === 'there' && possible);
    const kind = acknowledged ? 'lost_after_ack' : 'missing';
    const reason =
      standing.kind === 'gone'
        ? ` (${standing.reason})`
        : kind === 'lost_after_ack'
          ? ' (the broker acknowledged them, and their offsets have not been deleted: an unclean leader election, or the topic was made anew)'
          : '';
    const text = `${kind}: ${count} of ${expected} records ${words}${reason}; ${where}`;
    this.#problem(kind, text, { ...window, count, seqs });
  }

  /** Sequence numbers that the window's records may have had. */
  #holesOf(index: number): { seqs: number[]; text: string } {
    const start = this.#lowOf(index - 1);
    const low = this.#lowOf(index);
    // Without a later cut: at least as many numbers were given out as there were events to number.
    const next = this.#nextCut(index)
      ? this.#lowOf(index + 1)
      : Math.max(this.#tally.maxSeq + 1, this.#attachId + this.#numbered(this.#closed[index] as HistoryEntry));
    let end = low;
    let lost = this.#lostWithSeq(index) - this.#lostWithSeq(index - 2);
    let holes = this.#tally.holes(start, end);
    if (holes <= lost && next > end) {
      // Events that began before the cut can be numbered after it.
      end = next;
      lost = this.#lostWithSeq(index + 1) - this.#lostWithSeq(index - 2);
      holes = this.#tally.holes(start, end);
    }
    const seqs = this.#tally.firstHoles(start, end, seqsNamed);
    if (holes === 0) return { seqs, text: `no seq from ${start} to ${end - 1} is missing` };
    const more = holes > seqs.length ? ', …' : '';
    const counted = lost > 0 ? `; up to ${lost} of these ${holes} are counted as lost` : '';
    return { seqs, text: `seq ${seqs.join(', ')}${more}${counted}` };
  }

  /** Whether the records of a window must still be where the broker acknowledged them. */
  #standing(
    index: number,
  ): { readonly kind: 'there' | 'elsewhere' } | { readonly kind: 'gone' | 'deleted'; readonly reason: string } {
    const { partitions } = this.#input.facts;
    const after = this.#epochOf(index - 1);
    const lowest = new Map<Place, number>();
    const highest = new Map<Place, number>();
    for (let position = this.#positions[index] as number; position >= 0; position -= 1) {
      const entry = this.#entries[position] as HistoryEntry;
      const { place, firstOffset, lastOffset } = entry;
      // When the entry of epoch `after` was written, records of the next epoch can have been acknowledged already. The
      // one before it was written when epoch `after` had not ended: the window's records stand behind its last offset.
      const outside = entry.epoch < after;
      // Where it went does not matter any more: the process that wrote the entry of epoch `after` had its own place.
      if (place !== null && lastOffset >= 0 && (!outside || lowest.has(place))) {
        const low = outside ? lastOffset + 1 : firstOffset;
        lowest.set(place, outside ? low : Math.min(lowest.get(place) ?? low, low));
        if (!outside) highest.set(place, Math.max(highest.get(place) ?? -1, lastOffset));
      }
      if (outside) break;
    }

    const atHome = [...lowest.keys()].every((place) => this.#isHome(place));
    if (lowest.size === 0 || !atHome) {
      const movedHere = this.#lastAtHome >= (this.#positions[index] as number);
      if (lowest.size > 0 && movedHere) {
        return {
          kind: 'deleted',
          reason: 'published to another topic or cluster, before the sidecar was moved to this one',
        };
      }
      // A copy, or a topic of another name: its offsets are others.
      const whole = partitions.every(({ logStart }) => logStart === 0);
      if (whole || (index > 0 && this.#tally.distinct(Number.NEGATIVE_INFINITY, after) > 0))
        return { kind: 'elsewhere' };
      return {
        kind: 'deleted',
        reason: 'the topic is not the one that the ledger names, and its oldest records have been deleted',
      };
    }
    for (const [place, last] of highest) {
      const there = partitions.find(({ partition }) => partition === place.partition);
      if (there === undefined) return { kind: 'gone', reason: `partition ${place.partition} is not there any more` };
      if (there.end <= last)
        return {
          kind: 'gone',
          reason: `offset ${last} of partition ${place.partition} was acknowledged, and the partition ends before ${there.end}: the topic was made anew, or an unclean leader election cut it`,
        };
    }
    for (const [place, first] of lowest) {
      const start = partitions.find(({ partition }) => partition === place.partition)?.logStart ?? 0;
      if (first < start)
        return {
          kind: 'deleted',
          reason: `partition ${place.partition} begins at offset ${start}: the records before it have been deleted (retention)`,
        };
    }
    return { kind: 'there' };
  }

  /** The closed entry behind this one, when it tells where the numbers stood. */
  #nextCut(index: number): boolean {
    const next = this.#closed[index + 1];
    return next !== undefined && next.state !== 'closing';
  }

  #isHome({ clusterId, topic }: Place): boolean {
    return clusterId === this.#input.facts.clusterId && topic === this.#input.facts.topic;
  }

  #lowOf(index: number): number {
    return Math.max(this.#closed[index]?.lowWatermark ?? 0, this.#attachId);
  }

  /** Losses that certainly have a sequence number, through a closed entry. */
  #lostWithSeq(index: number): number {
    const entry = this.#closed[Math.min(index, this.#closed.length - 1)];
    if (index < 0 || entry === undefined) return 0;
    return Object.entries(entry.lost).reduce(
      (total, [reason, count]) => total + (lostWithoutSeq.has(reason) || upToReasons.has(reason) ? 0 : count),
      0,
    );
  }

  /** Events that took a sequence number, through a closed entry. */
  #numbered({ seen, filtered, lost }: HistoryEntry): number {
    const without = Object.entries(lost).reduce(
      (total, [reason, count]) => total + (lostWithoutSeq.has(reason) ? count : 0),
      0,
    );
    return seen - sum(filtered) - without;
  }

  /**
   * The sequence numbers are a second count of the same events. Cut a notes the next number S(a) just before its
   * epoch ends: numbers below S(a) belong to epochs up to a, and every number of an epoch before a is below S(a).
   */
  #checkNumbers(): void {
    for (const [index, entry] of this.#closed.entries()) {
      if (entry.state === 'closing' || !this.#inRange(entry)) continue;
      const next = this.#closed[index + 1];
      const last = next === undefined && entry.state === 'stopped';
      const { epoch } = entry;
      const numbered = this.#numbered(entry);
      const given = this.#lowOf(index) - this.#attachId;
      const nextGiven = last
        ? given
        : next === undefined || next.state === 'closing'
          ? Number.POSITIVE_INFINITY
          : this.#lowOf(index + 1) - this.#attachId;
      if (numbered < given || numbered > nextGiven) {
        const range =
          nextGiven === given || nextGiven === Number.POSITIVE_INFINITY ? `${given}` : `${given} to ${nextGiven}`;
        const text = `seq_mismatch: the ledger tells of ${numbered} numbered events through epoch ${epoch}, and ${range} numbers were given out`;
        this.#problem('seq_mismatch', text, { epoch });
      }
    }
  }

  /** As many holes as losses, as far back as everything is there; which side of a cut a hole is on is not known. */
  #checkHoles(): void {
    if (this.#input.tally === undefined) return;
    let start = -1;
    let holes = 0;
    for (const [index, entry] of this.#closed.entries()) {
      if (entry.state === 'closing') return;
      if (!this.#complete[index]) {
        // Numbers from the next cut on belong to later epochs.
        start = index + 1;
        holes = 0;
        continue;
      }
      if (index <= start) continue;
      const low = this.#lowOf(index);
      holes += this.#tally.holes(this.#lowOf(index - 1), low);
      const ended = entry.state === 'stopped' && index === this.#closed.length - 1;
      const most = this.#lostWithSeq(index) - this.#lostWithSeq(start - 1);
      const least = this.#lostWithSeq(ended ? index : index - 1) - this.#lostWithSeq(start);
      if (holes >= least && holes <= most) continue;
      if (this.#inRange(entry)) {
        const seqs = this.#tally.firstHoles(this.#lowOf(index - 2), low, seqsNamed);
        const named = seqs.length === 0 ? '' : `: seq ${seqs.join(', ')}`;
        const told = holes > most ? most : least;
        const text = `seq_mismatch: ${holes} holes in seq from ${this.#lowOf(start)} to ${low - 1}, and the ledger tells of ${told} losses there (epoch ${entry.epoch})${named}`;
        this.#problem('seq_mismatch', text, { epoch: entry.epoch, count: Math.abs(holes - told), seqs });
      }
      start = index;
      holes = 0;
    }
  }

  #checkRecords(): void {
    const { tally } = this.#input;
    if (tally === undefined || tally.conflicts === 0) return;
    const seqs = [...new Set(tally.firstConflicts.map(({ seq }) => seq))].slice(0, seqsNamed);
    const [first] = tally.firstConflicts;
    const text = `identity_conflict: ${tally.conflicts} records repeat a seq with other content: seq ${seqs.join(', ')} (the first at offset ${first?.offset} of partition ${first?.partition})`;
    this.#problem('identity_conflict', text, { count: tally.conflicts, seqs });
  }

  /** How the account ends: finally, or not yet. */
  #checkEnd(): void {
    const newest = this.#entries.at(-1);
    if (newest === undefined || !this.#inRange(newest)) return;
    const { facts, superseded, tally } = this.#input;
    const { epoch, pending, intervalEnd } = newest;
    const closedEpoch = this.#epochOf(this.#closed.length - 1);
    const ended = superseded || this.#hasFinalEntry;
    if (superseded && !this.#hasFinalEntry) {
      const text = `no final entry: the host was attached again later, and the account of this attach ends at epoch ${epoch} without saying so`;
      this.#problem('no_final_entry', text, { epoch });
    }
    // The first that stays open: at most one is at a time, and a restart begins another one.
    const open = this.#entries.find((entry) => entry.epoch > closedEpoch);
    if (open !== undefined && (ended || facts.now - open.intervalEnd > patience)) {
      const since = ended ? 'and nothing came after it' : `for ${seconds(facts.now - open.intervalEnd)}`;
      const text = `stays open: ${pending} records pending in epoch ${open.epoch}, ${since}`;
      this.#problem('stays_open', text, { epoch: open.epoch, count: pending });
    } else if (open !== undefined) {
      this.#notes.push(`${pending} pending in the open epoch ${open.epoch}`);
    }
    const later = tally?.distinct(closedEpoch, Number.POSITIVE_INFINITY) ?? 0;
    const unaccounted =
      newest.state === 'closing' ? 'published after the last entry before the end' : 'not yet accounted';
    if (newest.state === 'stopped' && newest.closed && later > 0) {
      const text = `unexpected: ${later} records after the final entry of epoch ${epoch}`;
      this.#problem('unexpected', text, { after_epoch: epoch, epoch, count: later });
    } else if (later > 0) {
      this.#notes.push(`${later} records ${unaccounted}`);
    }
    if (!ended && facts.now - intervalEnd > patience) this.#notes.push(`silent since ${isoTime(intervalEnd)}`);
  }

  #compose(): StreamReport {
    const { history, tally } = this.#input;
    const audited = this.#entries.filter((entry) => this.#inRange(entry));
    const newest = (audited.at(-1) ?? this.#entries.at(-1)) as HistoryEntry;
    const closed = this.#closed.filter((entry) => this.#inRange(entry));
    const top = closed.at(-1) ?? newest;
    const firstAudited = closed[0] ?? audited[0];
    const base = this.#closed.findLast(
      (entry) => firstAudited !== undefined && entry.epoch < firstAudited.epoch && !this.#inRange(entry),
    );
    const lost = minus(top.lost, base?.lost);
    const crashed = upTo(top) - (base === undefined ? 0 : upTo(base));
    if (crashed > 0) this.#notes.push(`ended without a word: up to ${crashed} are lost, some of them may be there`);
    const unobserved = top.unobservedMicros - (base?.unobservedMicros ?? 0);
    if (unobserved > 0) this.#notes.push(`not observed for ${seconds(unobserved / 1000)}`);
    if (tally === undefined) {
      this.#uncheckable.push({
        reason: 'this version does not read the topic of this stream',
        after_epoch: this.#epochOf(-1),
        epoch: top.epoch,
        expected: net(top) - (base === undefined ? 0 : net(base)),
        found: 0,
      });
    } else if (closed.length === 0) {
      const reason = 'no epoch has closed yet';
      this.#uncheckable.push({ reason, after_epoch: this.#epochOf(-1), epoch: newest.epoch, expected: 0, found: 0 });
    }
    const verdict: Verdict =
      this.#problems.length > 0 ? 'does not close' : this.#uncheckable.length > 0 ? 'not checkable' : 'closed';
    const first = this.#entries[0];
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
      records: tally?.records ?? 0,
      distinct: this.#distinct,
      repeats: tally?.repeats ?? 0,
      not_yet_accounted: tally?.distinct(this.#epochOf(this.#closed.length - 1), Number.POSITIVE_INFINITY) ?? 0,
      verdict,
      problems: this.#problems,
      not_checkable: this.#uncheckable,
      notes: this.#notes,
    };
  }
}

/**
 * A `closing` entry is written later, from what had been kept on disk. That can be older than what had been published:
 * then it adds nothing. When it repeats the newest entry, its counts are of that entry's epoch, whatever its own is.
 */
function closingInPlace(entry: HistoryEntry, regular: HistoryEntry | undefined): HistoryEntry[] {
  if (entry.state !== 'closing' || regular === undefined) return [entry];
  if (entry.epoch < regular.epoch) return [];
  const repeats = entry.seen === regular.seen && entry.published === regular.published;
  return [repeats && entry.epoch === regular.epoch + 1 ? { ...entry, epoch: regular.epoch } : entry];
}

/** Counts that only grow, by name. */
function countsOf({
  seen,
  published,
  filtered,
  lost,
  unobservedMicros,
}: HistoryEntry): Readonly<Record<string, number>> {
  const counts: Record<string, number> = { seen, published, unobserved_micros: unobservedMicros };
  for (const [rule, count] of Object.entries(filtered)) counts[`filtered by ${rule}`] = count;
  for (const [reason, count] of Object.entries(lost)) counts[`lost by ${reason}`] = count;
  return counts;
}

/** What of the events seen must stand in the topic. */
function net({ seen, filtered, lost }: HistoryEntry): number {
  return seen - sum(filtered) - sum(lost);
}

function upTo({ lost }: HistoryEntry): number {
  return Object.entries(lost).reduce((total, [reason, count]) => total + (upToReasons.has(reason) ? count : 0), 0);
}

function minus(
  counts: Readonly<Record<string, number>>,
  base: Readonly<Record<string, number>> = {},
): Record<string, number> {
  const differences = Object.entries(counts).map(([name, count]) => [name, count - (base[name] ?? 0)] as const);
  return Object.fromEntries(differences.filter(([, count]) => count !== 0));
}

export function isoTime(millis: number): string {
  const time = new Date(millis);
  return Number.isNaN(time.getTime()) ? `${millis}` : time.toISOString();
}

function seconds(millis: number): string {
  return `${Math.round(millis / 100) / 10} s`;
}
