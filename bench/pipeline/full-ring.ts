import type { Committed, ReadResult, StreamStatus } from '../../src/kernel/event-ring.ts';
import { offsetOf } from '../../src/kernel/layout.ts';
import type { EventSourceOptions } from '../../src/sources/event-source.ts';
import type { Recording } from './records.ts';

const word = 2 ** 32;
/** Between two execs of the replay. */
const nanosApart = 100_000;

/** What the source asks of one. */
type Ring = EventSourceOptions['ring'];

/**
 * A ring that is never empty before its end: real records, over and over, each with its own seq, times and pid, so that
 * they compress as real ones do. A read costs a copy, as in the addon, and five stores a record.
 */
export class FullRing implements Ring {
  readonly #total: number;
  readonly #image: Buffer;
  /** Where each record of the image begins, its header included; one more for the end. */
  readonly #starts: number[] = [0];
  readonly #onCommit: (acknowledged: number) => void;
  readonly #seqAt: number;
  readonly #bootNsAt: number;
  readonly #startNsAt: number;
  readonly #pidAt: number;
  readonly #firstNanos: number;
  #next = 0;
  #bytes = 0;
  #acknowledged = 0;

  /** @param onCommit is told how many are acknowledged so far */
  constructor(recording: Recording, total: number, onCommit: (acknowledged: number) => void = () => {}) {
    this.#total = total;
    this.#onCommit = onCommit;
    const { layout, records } = recording;
    this.#seqAt = 8 + offsetOf(layout, 'seq', 8);
    this.#bootNsAt = 8 + offsetOf(layout, 'boot_ns', 8);
    this.#startNsAt = 8 + offsetOf(layout, 'start_boot_ns', 8);
    this.#pidAt = 8 + offsetOf(layout, 'pid', 4);
    const first = records[0];
    if (first === undefined) throw new RangeError('a recording of no records');
    this.#firstNanos = Number(first.readBigUInt64LE(offsetOf(layout, 'boot_ns', 8)));

    const pieces: Buffer[] = [];
    // As many repetitions as make a copy worth one call.
    for (let repetition = 0; repetition * records.length < 2_000; repetition += 1)
      for (const record of records) {
        const piece = Buffer.alloc(8 + Math.ceil(record.length / 8) * 8);
        piece.writeUInt32LE(record.length, 0);
        record.copy(piece, 8);
        pieces.push(piece);
        this.#starts.push((this.#starts.at(-1) as number) + piece.length);
      }
    this.#image = Buffer.concat(pieces);
  }

  read(into: Uint8Array, maxRecords: number): ReadResult {
    const out = into as Buffer;
    const inImage = this.#starts.length - 1;
    let records = 0;
    let bytes = 0;
    const view = new DataView(out.buffer, out.byteOffset, out.length);
    while (records < maxRecords && this.#next < this.#total) {
      const index = this.#next % inImage;
      const start = this.#starts[index] as number;
      const wanted = Math.min(maxRecords - records, inImage - index, this.#total - this.#next);
      let count = 0;
      while (count < wanted && bytes + (this.#starts[index + count + 1] as number) - start <= out.length) count += 1;
      if (count === 0) break;
      this.#image.copy(out, bytes, start, this.#starts[index + count] as number);
      for (let i = 0; i < count; i += 1)
        this.#stamp(view, bytes + (this.#starts[index + i] as number) - start, this.#next + i);
      bytes += (this.#starts[index + count] as number) - start;
      records += count;
      this.#next += count;
    }
    this.#bytes += bytes;
    return { records, bytes, position: this.#bytes };
  }

  #stamp(out: DataView, at: number, seq: number): void {
    const nanos = this.#firstNanos + seq * nanosApart;
    out.setUint32(at + this.#seqAt, seq, true);
    out.setUint32(at + this.#bootNsAt, nanos % word, true);
    out.setUint32(at + this.#bootNsAt + 4, nanos / word, true);
    out.setUint32(at + this.#startNsAt, (nanos - 300_000) % word, true);
    out.setUint32(at + this.#startNsAt + 4, (nanos - 300_000) / word, true);
    out.setUint32(at + this.#pidAt, 1000 + (seq % 4_000_000), true);
  }

  commit(_position: number, { acknowledged }: Committed): void {
    this.#acknowledged += acknowledged;
    this.#onCommit(this.#acknowledged);
  }

  arm(): boolean {
    return true;
  }

  onWake(): void {}

  noteSpool(): void {}

  /** Only what the source asks for. */
  status(): StreamStatus {
    return { consumerPosition: 0 } as StreamStatus;
  }
}
