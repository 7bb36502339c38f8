import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  escapeArgument,
  escapeArgumentBytes,
  escapeJson,
  escapeText,
  screenLines,
  writeLine,
} from '../../src/terminal.ts';

const dangerous: [string, string, string][] = [
  ['newline', '\n', '\\n'],
  ['carriage return', '\r', '\\r'],
  ['tab', '\t', '\\t'],
  ['escape', '\u001b', '\\x1b'],
  ['bell', '\u0007', '\\x07'],
  ['delete', '\u007f', '\\x7f'],
  ['C1 control sequence introducer', '\u009b', '\\u009b'],
  ['right-to-left override', '\u202e', '\\u202e'],
  ['bidirectional isolate', '\u2067', '\\u2067'],
  ['line separator', '\u2028', '\\u2028'],
  ['paragraph separator', '\u2029', '\\u2029'],
  ['zero-width space', '\u200b', '\\u200b'],
  ['byte order mark', '\ufeff', '\\ufeff'],
  ['no-break space', '\u00a0', '\\u00a0'],
  ['interlinear annotation', '\ufff9', '\\ufff9'],
  ['tag character', '\u{e0041}', '\\u{e0041}'],
  ['lone surrogate', '\ud800', '\\ud800'],
];

describe('what a process chose cannot act on a terminal', () => {
  test.each(dangerous)('%s', (_name, character, shown) => {
    expect(escapeText(`a${character}b`)).toBe(`a${shown}b`);
    expect(escapeArgument(`a${character}b`)).toBe(`"a${shown}b"`);
    expect(JSON.parse(escapeJson(JSON.stringify(`a${character}b`)))).toBe(`a${character}b`);
    expect(escapeJson(JSON.stringify(`a${character}b`))).not.toContain(character);
  });

  test('text that is only foreign stays readable', () => {
    for (const text of ['Grüße', '日本語', 'naïve—“x”', '😀', 'עברית']) expect(escapeText(text)).toBe(text);
  });

  test('any text is shown in printable characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(escapeArgument(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
      }),
    );
  });
});

describe('arguments joined by spaces stay apart', () => {
  test.each([
    ['plain', 'plain'],
    ['--x=/a,b:c', '--x=/a,b:c'],
    ['', '""'],
    ['a b', '"a b"'],
    ['say "hi"', '"say \\"hi\\""'],
    ["it's", '"it\'s"'],
    ['back\\slash', '"back\\\\slash"'],
    ['a\\nb', '"a\\\\nb"'],
    ['…[truncated]', '"…[truncated]"'],
  ])('%j is shown as %s', (argument, shown) => {
    expect(escapeArgument(argument)).toBe(shown);
  });

  test('two different argument vectors never look alike', () => {
    const argv = fc.array(
      fc.string({ unit: fc.constantFrom('a', ' ', '"', '\\', 'n', '\n', '…', "'"), maxLength: 4 }),
      { maxLength: 4 },
    );
    const show = (args: string[]) => args.map(escapeArgument).join(' ');
    fc.assert(
      fc.property(argv, argv, (one, other) => {
        if (JSON.stringify(one) !== JSON.stringify(other) && one.length > 0 && other.length > 0) {
          expect(show(one)).not.toBe(show(other));
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe('bytes that are not UTF-8', () => {
  test('are shown as bytes, what is around them as text', () => {
    expect(escapeArgumentBytes(Buffer.from('caf\xe9 "x"\n', 'latin1'))).toBe('"caf\\xe9 \\"x\\"\\n"');
    expect(escapeArgumentBytes(Buffer.from([0x61, 0xc3, 0xa9, 0xff]))).toBe('"aé\\xff"');
    expect(escapeArgumentBytes(Buffer.from([0xed, 0xa0, 0x80]))).toBe('"\\xed\\xa0\\x80"');
    expect(escapeArgumentBytes(Buffer.from([0xe2, 0x82]))).toBe('"\\xe2\\x82"');
  });

  test('a raw byte 85 and the character U+0085 look different', () => {
    expect(escapeArgumentBytes(Buffer.from([0x85]))).toBe('"\\x85"');
    expect(escapeArgument('\u0085')).toBe('"\\u0085"');
  });

  test('UTF-8 is shown like text', () => {
    expect(escapeArgumentBytes(Buffer.from('plain'))).toBe('plain');
    expect(escapeArgumentBytes(Buffer.from('Grüße an'))).toBe('"Grüße an"');
  });
});

test('only a terminal has a height, and one that nobody has sized has 24 lines', () => {
  expect(screenLines(new PassThrough())).toBeUndefined();
  expect(screenLines(Object.assign(new PassThrough(), { isTTY: true, rows: 50 }))).toBe(50);
  expect(screenLines(Object.assign(new PassThrough(), { isTTY: true, rows: 0 }))).toBe(24);
});

describe('writeLine', () => {
  test('waits for a slow reader', async () => {
    const stream = new PassThrough({ highWaterMark: 4 });
    let done = false;
    const written = writeLine(stream, 'longer than four').then(() => {
      done = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).toBe(false);
    stream.resume();
    await written;
  });

  test('an abort ends the wait', async () => {
    const stop = new AbortController();
    const written = writeLine(new PassThrough({ highWaterMark: 1 }), 'nobody reads', stop.signal);
    stop.abort();
    await written;
  });
});
