import type { Enrichment } from '../enrich/enrichment.ts';
import type { ProgramImage } from '../enrich/parents.ts';
import { notWritten, writeText, writeTexts } from '../schemas/avro-bytes.ts';
import { splitText } from './argv.ts';
import { once } from './exec-findings.ts';
import { type KernelRecord, micros } from './kernel-record.ts';
import type { Field } from './record-field.ts';
import { textOf } from './text.ts';

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
  let scratch = Buffer.alloc(64 * 1024);
  const bytesOf = (text: string) => {
    if (text.length > scratch.length) scratch = Buffer.alloc(text.length * 2);
    return scratch.subarray(0, scratch.write(text, 'latin1'));
  };
  const written = (
    of: (image: ProgramImage) => string | null,
    write: (out: Buffer, at: number, bytes: Buffer) => number,
  ) =>
    function writeNullable(out: Buffer, start: number, record: KernelRecord): number {
      const image = imageOf(record);
      const text = image === undefined ? null : of(image);
      out[start] = text === null ? 0 : 2;
      return text === null ? start + 1 : write(out, start + 1, bytesOf(text));
    };
  const none = Buffer.alloc(0);
  return {
    exe: {
      type: ['null', 'string'],
      fixed: none,
      read(record) {
        const exe = imageOf(record)?.exe ?? null;
        return exe === null ? null : textOf(Buffer.from(exe, 'latin1'));
      },
      write: written(
        ({ exe }) => exe,
        (out, at, bytes) => writeText(out, at, bytes, 0, bytes.length),
      ),
    },
    args: {
      type: ['null', { type: 'array', items: 'string' }],
      fixed: none,
      read(record) {
        const args = imageOf(record)?.args ?? null;
        // Split as bytes: what is not UTF-8 in one argument is nothing to the next.
        return args === null ? null : splitText(args).map((text) => textOf(Buffer.from(text, 'latin1')));
      },
      write: written(
        ({ args }) => args,
        (out, at, bytes) => {
          if (bytes.length > 0 && bytes[bytes.length - 1] !== 0) return notWritten;
          let count = 0;
          for (let nul = bytes.indexOf(0); nul >= 0; nul = bytes.indexOf(0, nul + 1)) count += 1;
          return writeTexts(out, at, bytes, 0, bytes.length, count);
        },
      ),
    },
    missing(record) {
      const image = imageOf(record);
      if (image === undefined) return bothMissing;
      if (image.exe === null) return image.args === null ? bothMissing : ['parent_exe'];
      return image.args === null ? argsMissing : nothingMissing;
    },
    remember: (record, image) =>
      parents.remember(execKey(record, own), record.buffer.readUInt32LE(record.at + own.pid), image),
  };
}
