import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { WriteStream } from 'node:tty';

/** What a command may write to; standard output belongs to what it prints, standard error to what goes wrong. */
export interface CommandIo {
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Aborted when the reader of standard output is gone (`… | head`): a command that prints then ends by itself. */
  readonly stdoutClosed: AbortSignal;
}

/** Writes a line and waits while the reader is slow, so that nothing piles up in memory. */
export async function writeLine(stream: Writable, line: string, signal?: AbortSignal): Promise<void> {
  if (stream.write(`${line}\n`) || stream.destroyed) return;
  const options = signal === undefined ? {} : { signal };
  // A stream that fails or an abort ends the wait; whoever owns the stream hears of the failure.
  await once(stream, 'drain', options).catch(() => {});
}

/** How many lines a terminal shows at once; undefined when the stream is no terminal. */
export function screenLines(stream: Writable): number | undefined {
  const { isTTY = false, rows } = stream as Partial<WriteStream>;
  // A pseudo-terminal that nobody has sized says 0.
  return isTTY ? rows || 24 : undefined;
}

/** `HH:MM:SS.mmm` of a time in milliseconds since 1970. */
export function localTime(millis: number): string {
  const time = new Date(millis);
  const pad = (value: number, width = 2) => String(value).padStart(width, '0');
  return `${pad(time.getHours())}:${pad(time.getMinutes())}:${pad(time.getSeconds())}.${pad(time.getMilliseconds(), 3)}`;
}

/**
 * Everything that moves the cursor, changes the order of what is shown, or is not shown at all: control
 * characters (C0, DEL, C1), format characters (bidirectional overrides, zero-width, tags), line and paragraph
 * separators, spaces that are not U+0020, lone surrogates, and code points that are ignored when not supported.
 */
const deceptive = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}/gu;

const shortEscapes: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escapeCharacter(character: string): string {
  const short = shortEscapes[character];
  if (short !== undefined) return short;
  const code = character.codePointAt(0) as number;
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
  // Not \x for U+0080 to U+00FF: that is how a byte that is not UTF-8 is shown.
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** Text that a process chose, made harmless for a terminal; on one line. */
export function escapeText(text: string): string {
  return text.replace(deceptive, escapeCharacter);
}

/**
 * One argument so that its borders and its content are clear. Without quotes it is what it says, backslashes
 * included; in double quotes escapes are in force. Quoted is what is empty, holds a space, a quote, a backslash
 * or something deceptive, or could be taken for a mark of ours.
 */
export function escapeArgument(argument: string): string {
  const escaped = escapeText(argument);
  if (escaped === argument && argument !== '' && !/[ "'`\\]/.test(argument) && !argument.startsWith('…'))
    return argument;
  return `"${escapeText(argument.replace(/["\\]/g, '\\$&'))}"`;
}

/** Like escapeArgument for bytes: those that are not UTF-8 are shown as \xHH. */
export function escapeArgumentBytes(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  if (Buffer.from(text).equals(bytes)) return escapeArgument(text);
  let shown = '';
  for (let at = 0; at < bytes.length; ) {
    const width = utf8Width(bytes, at);
    if (width === 0) {
      shown += `\\x${(bytes[at] as number).toString(16).padStart(2, '0')}`;
      at += 1;
    } else {
      shown += escapeText(bytes.toString('utf8', at, at + width).replace(/["\\]/g, '\\$&'));
      at += width;
    }
  }
  return `"${shown}"`;
}

/** Length of the UTF-8 sequence at `at`, 0 when there is none. */
function utf8Width(bytes: Buffer, at: number): number {
  const lead = bytes[at] as number;
  const width = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
  const sequence = bytes.subarray(at, at + width);
  return sequence.length === width && Buffer.from(sequence.toString('utf8')).equals(sequence) ? width : 0;
}

/** JSON text with the deceptive characters as \uXXXX: the same value, harmless when it is shown. */
export function escapeJson(json: string): string {
  return json.replace(deceptive, (character) =>
    Array.from(
      { length: character.length },
      (_, unit) => `\\u${character.charCodeAt(unit).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}
