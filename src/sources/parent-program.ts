import type { Enrichment } from '../enrich/enrichment.ts';
import { missingOf, type ProgramImage, programNames } from '../enrich/parents.ts';
import type { Key, RecordProgram } from '../kernel/record-writer.ts';
import { nullBytes, textBytes, textOfBytes, textsBytes, textsOfBytes } from '../schemas/avro-bytes.ts';
import { once } from './exec-findings.ts';
import { type KernelRecord, micros } from './kernel-record.ts';
import { type Field, type Finding, keyBytes } from './record-field.ts';

/** Where a record says which exec of which process is meant. */
export interface ExecOffsets {
  readonly startNs: number;
  readonly pid: number;
  readonly execCount: number;
}

export interface ParentProgram {
  readonly exe: Field<string | null>;
  readonly args: Field<string[] | null>;
  /** Of the two fields those that are not known. */
  readonly missing: (record: KernelRecord) => readonly string[];
  /** Of whole records. */
  readonly finding: Finding;
  /** Where fields are put that are `keeping`. */
  readonly kept: RecordProgram['kept'];
  /**
   * To be told of each record, behind its own way to the topic and before the next one.
   * @param image undefined when its fields were kept as they were written
   */
  readonly remember: (record: KernelRecord, image: ProgramImage | undefined) => void;
}

/** /proc counts in hundredths of a second. */
const microsPerTick = 10_000;

const nothing: ProgramImage = { exe: nullBytes, args: nullBytes };

/** Of a program as events have it; of one that runs already only its path is known. */
export function programImage(exe: string | null, args: readonly string[] | null = null): ProgramImage {
  return { exe: textBytes(exe), args: textsBytes(args) };
}

/** A field that is kept of each exec, for this one of its children. */
export function keeping<Value>(name: (typeof programNames)[number], field: Field<Value>): Field<Value> {
  return { ...field, steps: [{ kind: 'keep', part: programNames.indexOf(name), steps: field.steps }] };
}

/** What the parent ran, out of the records that were published before. */
export function createParentProgram(
  parents: Enrichment['parents'],
  own: ExecOffsets,
  parent: ExecOffsets,
): ParentProgram {
  /** The numbers that exec_id is made of, boot aside. */
  const keyOf = ({ startNs, pid, execCount }: ExecOffsets): Key => ({
    numbers: [
      { offset: startNs, bytes: 8 },
      { offset: pid, bytes: 4 },
      { offset: execCount, bytes: 4 },
    ],
  });
  const ownKey = keyOf(own);
  const parentKey = keyOf(parent);
  const imageOf = once((record): ProgramImage | undefined => {
    const { buffer, view, at, bootMicros } = record;
    const startTicks = Math.floor(micros(view, at + parent.startNs) / microsPerTick);
    const exec = { execId: keyBytes(parentKey, record), pid: buffer.readUInt32LE(at + parent.pid), startTicks };
    return parents.of(exec, bootMicros);
  });
  const missing = (record: KernelRecord) => missingOf(imageOf(record) ?? nothing);
  const finding: Finding = {
    learned: parents.programs,
    key: parentKey,
    find(record) {
      const { exe, args } = imageOf(record) ?? nothing;
      return { parts: [exe, args], missing: missing(record) };
    },
  };
  return {
    exe: {
      type: ['null', 'string'],
      read: (record) => textOfBytes((imageOf(record) ?? nothing).exe),
      steps: [{ kind: 'learned', of: finding, part: programNames.indexOf('parent_exe') }],
    },
    args: {
      type: ['null', { type: 'array', items: 'string' }],
      read: (record) => textsOfBytes((imageOf(record) ?? nothing).args),
      steps: [{ kind: 'learned', of: finding, part: programNames.indexOf('parent_args') }],
    },
    finding,
    kept: { learned: parents.programs, key: ownKey, names: programNames },
    missing,
    remember(record, image) {
      const pid = record.buffer.readUInt32LE(record.at + own.pid);
      if (image === undefined) parents.noteRemembered(pid);
      else parents.remember(keyBytes(ownKey, record), pid, image);
    },
  };
}
