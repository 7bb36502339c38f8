import type { Enrichment } from '../enrich/enrichment.ts';
import type { ProgramImage } from '../enrich/parents.ts';
import { textBytes, textOfBytes, textsBytes, textsOfBytes } from '../schemas/avro-bytes.ts';
import { once } from './exec-findings.ts';
import { type KernelRecord, micros } from './kernel-record.ts';
import type { Field } from './record-field.ts';

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
  /** To be told of each record, behind its own way to the topic and before the next one. */
  readonly remember: (record: KernelRecord, image: ProgramImage) => void;
}

const nothingMissing: readonly string[] = [];
const argsMissing = ['parent_args'];
const bothMissing = ['parent_exe', 'parent_args'];
/** /proc counts in hundredths of a second. */
const microsPerTick = 10_000;

/** Of a program as events have it; of one that runs already only its path is known. */
export function programImage(exe: string | null, args: readonly string[] | null = null): ProgramImage {
  return { exe: textBytes(exe), args: textsBytes(args) };
}

/** A field whose Avro can be had once more, until the next record is written. */
export function keeping<Value>(field: Field<Value>): Field<Value> & { readonly written: () => Buffer } {
  const { fixed, write } = field;
  if (write === undefined) throw new TypeError('the same for each record: there is nothing to keep');
  let last: Buffer = Buffer.alloc(0);
  let begin = 0;
  let end = 0;
  return {
    ...field,
    write(out, at, record) {
      last = out;
      begin = at - fixed.length;
      end = write(out, at, record);
      return end;
    },
    written: () => Buffer.from(last.subarray(begin, end)),
  };
}

/** What the parent ran, out of the records that were published before. */
export function createParentProgram(
  parents: Enrichment['parents'],
  own: ExecOffsets,
  parent: ExecOffsets,
): ParentProgram {
  const key = Buffer.alloc(16);
  /** The numbers that exec_id is made of, boot aside. */
  const execKey = ({ buffer, at }: KernelRecord, { startNs, pid, execCount }: ExecOffsets) => {
    buffer.copy(key, 0, at + startNs, at + startNs + 8);
    buffer.copy(key, 8, at + pid, at + pid + 4);
    buffer.copy(key, 12, at + execCount, at + execCount + 4);
    return key.toString('latin1');
  };
  const imageOf = once((record): ProgramImage | undefined => {
    const { buffer, at, bootMicros } = record;
    const startTicks = Math.floor(micros(buffer, at + parent.startNs) / microsPerTick);
    const exec = { execId: execKey(record, parent), pid: buffer.readUInt32LE(at + parent.pid), startTicks };
    return parents.of(exec, bootMicros);
  });
  const copied = (of: (image: ProgramImage) => Uint8Array): NonNullable<Field<unknown>['write']> =>
    function writeCopy(out, at, record) {
      const image = imageOf(record);
      if (image === undefined) {
        out[at] = 0;
        return at + 1;
      }
      const bytes = of(image);
      // Texts are short: a loop is faster than the call of a copy.
      for (let i = 0; i < bytes.length; i += 1) out[at + i] = bytes[i] as number;
      return at + bytes.length;
    };
  const none = Buffer.alloc(0);
  return {
    exe: {
      type: ['null', 'string'],
      fixed: none,
      read(record) {
        const image = imageOf(record);
        return image === undefined ? null : textOfBytes(image.exe);
      },
      write: copied(({ exe }) => exe),
    },
    args: {
      type: ['null', { type: 'array', items: 'string' }],
      fixed: none,
      read(record) {
        const image = imageOf(record);
        return image === undefined ? null : textsOfBytes(image.args);
      },
      write: copied(({ args }) => args),
    },
    missing(record) {
      const image = imageOf(record);
      if (image === undefined) return bothMissing;
      if (image.exe[0] === 0) return image.args[0] === 0 ? bothMissing : ['parent_exe'];
      return image.args[0] === 0 ? argsMissing : nothingMissing;
    },
    remember: (record, image) =>
      parents.remember(execKey(record, own), record.buffer.readUInt32LE(record.at + own.pid), image),
  };
}
