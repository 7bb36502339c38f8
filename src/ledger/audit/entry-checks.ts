import { sum } from '../account.ts';
import type { Findings } from './findings.ts';
import { type HistoryEntry, type Place, sameCounts } from './ledger-history.ts';
import type { StreamEntries } from './stream-entries.ts';
import type { StreamKind } from './stream-kind.ts';

/**
 * The entries of a stream among themselves: what can be said without a record.
 * @param kind undefined: a stream of which nothing is known
 */
export function checkEntries(entries: StreamEntries, kind: StreamKind | undefined, findings: Findings): void {
  for (const entry of entries.all) if (entries.inRange(entry)) checkEntry(entry, kind, findings);
  checkSequence(entries, findings);
  checkOffsets(entries, findings);
}

/** An entry by itself. */
function checkEntry(entry: HistoryEntry, kind: StreamKind | undefined, findings: Findings): void {
  const { epoch, seen, published, pending, filtered, lost } = entry;
  const about = { epoch };
  for (const [name, count] of Object.entries(countsOf(entry))) {
    if (count < 0) findings.problem('unbalanced', `unbalanced: ${name} is ${count} in epoch ${epoch}`, about);
  }
  const gap = seen - published - pending - sum(filtered) - sum(lost);
  if (gap !== 0) {
    const terms = `published ${published} + filtered ${sum(filtered)} + lost ${sum(lost)} + pending ${pending}`;
    const text = `unbalanced: seen ${seen} is not ${terms} in epoch ${epoch} (${gap} unexplained)`;
    findings.problem('unbalanced', text, { ...about, count: Math.abs(gap) });
  } else if (entry.unexplained !== 0) {
    const text = `unbalanced: the entry of epoch ${epoch} says ${entry.unexplained} unexplained, and its terms say 0`;
    findings.problem('unbalanced', text, about);
  }
  if (entry.closed ? pending !== 0 : pending === 0 && kind?.openWithoutPending !== true) {
    const said = entry.closed ? 'closed' : 'open';
    findings.problem('unbalanced', `unbalanced: epoch ${epoch} is called ${said} with ${pending} pending`, about);
  }
  const fault = kind?.watermarkFault(entry);
  if (fault !== undefined) findings.problem('watermark_falls', fault, about);
}

/** Each entry beside the one before it. */
function checkSequence(entries: StreamEntries, findings: Findings): void {
  let watermark = 0;
  for (const [index, entry] of entries.all.entries()) {
    const before = entries.all[index - 1];
    const { epoch, lowWatermark } = entry;
    // 0 says that it is not known: an entry of a process that has not closed an epoch yet.
    if (lowWatermark !== 0) {
      if (lowWatermark < watermark && entries.inRange(entry)) {
        const text = `low_watermark falls from ${watermark} to ${lowWatermark} in epoch ${epoch}`;
        findings.problem('watermark_falls', text, { epoch });
      }
      watermark = Math.max(watermark, lowWatermark);
    }
    if (before === undefined || !entries.inRange(entry)) continue;
    const counts = countsOf(entry);
    const countsBefore = countsOf(before);
    if (before.epoch === epoch && before.closed && entry.closed) {
      // What is written later knows of more time that nobody observed, and of nothing else.
      const later = entry.state === 'closing' ? { unobserved_micros: counts.unobserved_micros as number } : {};
      if (!sameCounts(counts, { ...countsBefore, ...later })) {
        const text = `conflicting entries: epoch ${epoch} is closed twice with different counts`;
        findings.problem('conflicting_entries', text, { epoch });
      }
      continue;
    }
    for (const [name, count] of Object.entries(countsBefore)) {
      const now = counts[name] ?? 0;
      if (now >= count) continue;
      findings.problem('count_falls', `${name} falls from ${count} to ${now} in epoch ${epoch}`, { epoch });
    }
  }
}

/** Acknowledged offsets of one partition only grow, unless the broker has forgotten what it acknowledged. */
function checkOffsets(entries: StreamEntries, findings: Findings): void {
  const highest = new Map<Place, number>();
  for (const entry of entries.all) {
    const { place, lastOffset, epoch } = entry;
    if (place === null || lastOffset < 0) continue;
    const before = highest.get(place) ?? -1;
    if (lastOffset < before && entries.inRange(entry)) {
      const text = `broker_rewound: partition ${place.partition} of ${place.topic} acknowledged offset ${before}, and later ${lastOffset} (epoch ${epoch}): it lost what it had acknowledged, or was made anew`;
      findings.problem('broker_rewound', text, { epoch });
    }
    highest.set(place, lastOffset);
  }
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
