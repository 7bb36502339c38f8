import { isUtf8 } from 'node:buffer';

/**
 * The bytes as text. Bytes that are not UTF-8 become `\xNN`, and nothing else changes: what was valid
 * reads as it is. Ambiguous on purpose; where it matters the bytes are published beside the text.
 */
export function textOf(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    text +=
      length > 0 ? bytes.toString('utf8', at, at + length) : `\\x${(bytes[at] ?? 0).toString(16).padStart(2, '0')}`;
    at += Math.max(length, 1);
  }
  return text;
}

/** Bytes of the UTF-8 sequence that begins at `at`; 0 when none does. */
function sequenceLength(bytes: Buffer, at: number): number {
  const lead = bytes[at] ?? 0;
  const length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  return isUtf8(bytes.subarray(at, at + length)) ? length : 0;
}
