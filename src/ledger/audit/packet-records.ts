import { sum } from '../account.ts';
import type { Findings } from './findings.ts';
import type { HistoryEntry } from './ledger-history.ts';
import type { InterfaceTally } from './packet-tally.ts';
import { publishedBetween, type StreamEntries } from './stream-entries.ts';
import type { Located, Measure, StreamKind } from './stream-kind.ts';

const prefix = 'packets:';
const epochsNamed = 5;

/** Name of the interface whose packets a stream is of; undefined when it is another stream. */
export function interfaceOf(streamName: string): string | undefined {
  return streamName.startsWith(prefix) ? streamName.slice(prefix.length) : undefined;
}

export function packetsStreamName(interfaceName: string): string {
  return `${prefix}${interfaceName}`;
}

/**
 * A record is a number of packets, and those that a filter kept out are published too: both sums must be right. There
 * are no sequence numbers, so a record that is missing shows in the sums of its window.
 */
export class PacketRecords implements StreamKind {
  /** What waits can be packets that were filtered, which are not pending. */
  readonly openWithoutPending = true;
  readonly records: InterfaceTally;
  readonly measures: readonly [Measure, Measure];
  readonly #entries: StreamEntries;
  readonly #findings: Findings;

  constructor(entries: StreamEntries, records: InterfaceTally, findings: Findings) {
    this.#entries = entries;
    this.records = records;
    this.#findings = findings;
    const locate = (index: number) => this.#emptyEpochsOf(index);
    this.measures = [
      {
        noun: 'packets',
        found: (after, through) => records.published(after, through),
        told: publishedBetween,
        locate,
      },
      {
        noun: 'filtered packets',
        found: (after, through) => records.filtered(after, through),
        told: (entry, before) => {
          const most = sum(entry.filtered) - (before === undefined ? 0 : sum(before.filtered));
          // They are counted in the kernel and never pending: an attach that ended in a crash cannot tell how many of
          // them were published.
          return { least: entry.state === 'closing' ? 0 : most, most };
        },
        locate,
      },
    ];
  }

  /** Every epoch below it is closed, and none from it on. */
  watermarkFault({ closed, state, lowWatermark, epoch }: HistoryEntry): string | undefined {
    if (state === 'closing' || (closed ? lowWatermark === epoch + 1 : lowWatermark <= epoch)) return undefined;
    return `low_watermark of the ${closed ? 'closed' : 'open'} epoch ${epoch} is ${lowWatermark}`;
  }

  checkRecords(): void {
    const { conflicts, firstConflicts, impossible } = this.records;
    if (impossible > 0) {
      const text = `unexpected: ${impossible} records that count no packet`;
      this.#findings.problem('unexpected', text, { count: impossible });
    }
    if (conflicts === 0) return;
    const epochs = [...new Set(firstConflicts.map(({ epoch }) => epoch))].slice(0, epochsNamed);
    const [first] = firstConflicts;
    const text = `identity_conflict: ${conflicts} records repeat an epoch and key with other content: epoch ${epochs.join(', ')} (the first at offset ${first?.offset} of partition ${first?.partition})`;
    this.#findings.problem('identity_conflict', text, { count: conflicts });
  }

  /** Records of an epoch are published together, so those that are gone are often all that it had. */
  #emptyEpochsOf(index: number): Located {
    const after = this.#entries.epochOf(index - 1);
    const empty = this.records.firstEmpty(after, this.#entries.epochOf(index), epochsNamed + 1);
    if (empty.length === 0) return { possible: true, text: 'each of these epochs has records' };
    const more = empty.length > epochsNamed ? ', …' : '';
    return { possible: true, text: `no record of epoch ${empty.slice(0, epochsNamed).join(', ')}${more}` };
  }
}
