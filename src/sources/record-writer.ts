import { notWritten } from '../schemas/avro-bytes.ts';
import type { Field } from './record-field.ts';

export type Write = NonNullable<Field<unknown>['write']>;

/** From here on a copy is faster than a store for each byte. */
const copiedFrom = 32;

/**
 * Writes a whole framed record: the fields one behind the other, as if that had been written by hand, what is the same for
 * each record in one piece. In a loop over the fields V8 cannot tell which function comes next, and the calls take a
 * quarter of the codec's time; here each has a place of its own, and most are inlined.
 */
export function writerOf(fields: readonly Field<unknown>[], frame: Buffer = Buffer.alloc(0)): Write {
  const pieces: Buffer[] = [];
  const writes: Write[] = [];
  let body = '';
  const put = (piece: Buffer) => {
    if (piece.length < copiedFrom) body += [...piece].map((byte, i) => `out[at + ${i}] = ${byte};`).join(' ');
    // Behind the end of `out` a copy does nothing, as a store.
    else body += `pieces[${pieces.push(piece) - 1}].copy(out, at);`;
    body += ` at += ${piece.length};\n`;
  };
  let same = frame;
  for (const { fixed, write } of fields) {
    same = Buffer.concat([same, fixed]);
    if (write === undefined) continue;
    put(same);
    same = Buffer.alloc(0);
    body += `at = write${writes.push(write) - 1}(out, at, record); if (at === ${notWritten}) return at;\n`;
  }
  put(same);
  const names = writes.map((_, i) => `write${i}`);
  return new Function('pieces', ...names, `return (out, at, record) => {\n${body}return at;\n};`)(
    pieces,
    ...writes,
  ) as Write;
}
