import { expect } from 'vitest';
import {
  openRecordWriter,
  type RecordProgram,
  type RecordWriter,
  type Step,
} from '../../../src/kernel/record-writer.ts';

/** The one number that is given is of the timestamp, but where a test has others. */
export const program = (steps: readonly Step<number, number>[], more: Partial<RecordProgram> = {}): RecordProgram => ({
  steps,
  timestamp: { place: { offset: 0, bytes: 1 }, of: 0 },
  whole: [],
  tables: [],
  recordBytes: 16,
  given: 1,
  ...more,
});

/** Writes one record behind what is written; says whether it did, and its end and time. */
export function writeOne(writer: RecordWriter, record: Uint8Array, given: readonly number[] = [0], cleared?: number) {
  const ends = new Uint32Array(1);
  const timestamps = new Float64Array(1);
  const end = writer.write(record, new Uint32Array(1), Float64Array.from(given), ends, timestamps, 0, 1, cleared);
  return { isWritten: end === 1, end: ends[0], timestamp: timestamps[0] };
}

/** All that a writer has written. */
export function batchOf(writer: RecordWriter): Buffer {
  const batch = Buffer.alloc(writer.bytes());
  writer.copyTo(batch);
  return batch;
}

/** What is written of one record; undefined when it is declined. */
export function written(of: RecordProgram, record: Uint8Array, given?: readonly number[]): Buffer | undefined {
  const writer = openRecordWriter(of);
  const { isWritten, end } = writeOne(writer, record, given);
  if (!isWritten) return undefined;
  expect(end).toBe(writer.bytes());
  return batchOf(writer);
}
