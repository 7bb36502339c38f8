import type { Acknowledgement } from '../batch.ts';
import type { Log } from '../log.ts';

/** Offsets of the first and the last record of a stream that the broker acknowledged at one destination; -1: none yet. */
export class AcknowledgedOffsets {
  readonly #log: Log;
  first: number;
  last: number;

  /** @param before what an earlier process had acknowledged there */
  constructor(log: Log, before: { readonly firstOffset: number; readonly lastOffset: number } | undefined) {
    this.#log = log;
    this.first = before?.firstOffset ?? -1;
    this.last = before?.lastOffset ?? -1;
  }

  note({ firstOffset, lastOffset }: Pick<Acknowledgement, 'firstOffset' | 'lastOffset'>): void {
    if (firstOffset < 0) return; // all of them went to the dead letter
    if (firstOffset <= this.last) {
      // Unclean election, or a topic that was made anew: what had been acknowledged behind it is gone.
      this.#log.error({ offset: firstOffset, before: this.last }, 'broker_rewound: an offset was given twice');
    }
    if (this.first < 0) this.first = firstOffset;
    this.last = lastOffset;
  }
}
