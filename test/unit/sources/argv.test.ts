import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as argv from '../../../src/sources/argv.ts';
import { textOf } from '../../../src/sources/text.ts';

/** Of bpf/abi.h. */
const limits = { capturedBytes: 32_768, tailBytes: 8_192, pageBytes: 4_096 };

function splitArgv(captured: Buffer, totalBytes: number, pageOffset: number, absent: number): argv.Argv {
  return argv.splitArgv(captured, totalBytes, pageOffset, absent, limits);
}

const page = 4096;
const head = 24 * 1024;
const tail = 8 * 1024;

/** Addresses, relative to the page of the first argument: [from, to) of each read that bpf/argv.h makes. */
function reads(total: number, pageOffset: number): [number, number][] {
  const ranges: [number, number][] =
    total > head + tail
      ? [
          [pageOffset, pageOffset + head],
          [pageOffset + total - tail, pageOffset + total],
        ]
      : [[pageOffset, pageOffset + total]];
  return ranges.flatMap(([from, to]) => {
    const cut: [number, number][] = [];
    for (let at = from; at < to; ) {
      const next = Math.min(to, (Math.floor(at / page) + 1) * page);
      cut.push([at, next]);
      at = next;
    }
    return cut;
  });
}

/** What the kernel side hands over when the given reads fail, and which of its bytes are real. */
function capture(argv: readonly Buffer[], pageOffset: number, failed: readonly number[]) {
  const memory = Buffer.concat(argv.flatMap((argument) => [argument, Buffer.alloc(1)]));
  const made = reads(memory.length, pageOffset);
  const bytesOf = ([from, to]: [number, number]) => memory.subarray(from - pageOffset, to - pageOffset);
  const captured = Buffer.concat(
    made.map((read, n) => (failed.includes(n) ? Buffer.alloc(read[1] - read[0]) : bytesOf(read))),
  );
  // Runs of present bytes whose addresses follow each other.
  const runs: [number, number][] = [];
  for (const [n, [from, to]] of made.entries()) {
    if (failed.includes(n)) continue;
    const last = runs.at(-1);
    if (last !== undefined && last[1] === from) last[1] = to;
    else runs.push([from, to]);
  }
  const present = runs.map(bytesOf);
  const absent = failed.filter((n) => n < made.length).reduce((set, n) => set | (1 << n), 0);
  return { captured, total: memory.length, absent, present, reads: made.length };
}

/** Arguments of a run of bytes: what the NULs separate, without the nothing behind the last one. */
function argumentsOf(run: Buffer): string[] {
  const parts = run.toString('latin1').split('\0');
  if (parts.at(-1) === '') parts.pop();
  return parts.map((part) => textOf(Buffer.from(part, 'latin1')));
}

function long(bytes: number, first = 0x61): Buffer {
  return Buffer.from(Array.from({ length: bytes }, (_, n) => first + (n % 23)));
}

describe('whole', () => {
  test.for([
    [[], []],
    [[''], ['']],
    [['a'], ['a']],
    [
      ['', 'a', '', ''],
      ['', 'a', '', ''],
    ],
    [
      ['ls', '-l', 'é\n'],
      ['ls', '-l', 'é\n'],
    ],
  ] as [string[], string[]][])('%j', ([argv, args]) => {
    const captured = Buffer.from(argv.map((argument) => `${argument}\0`).join(''));
    expect(splitArgv(captured, captured.length, 17, 0)).toEqual({
      args,
      capturedBytes: captured.length,
      truncated: false,
      raw: null,
    });
  });

  test('bytes that are not UTF-8 are escaped, and kept', () => {
    const captured = Buffer.from([0x61, 0, 0xff, 0, 0, 0x62, 0]);
    expect(splitArgv(captured, 7, 0, 0)).toEqual({
      args: ['a', '\\xff', '', 'b'],
      capturedBytes: 7,
      truncated: false,
      raw: captured,
    });
  });

  test('a character that two arguments would make together is not one', () => {
    const captured = Buffer.from([0xc3, 0, 0xa9, 0]);
    expect(splitArgv(captured, 4, 0, 0)).toMatchObject({ args: ['\\xc3', '\\xa9'], raw: captured });
  });

  test('a last argument without its NUL is there: a process may have overwritten it', () => {
    expect(splitArgv(Buffer.from('a\0b'), 3, 0, 0)).toMatchObject({ args: ['a', 'b'], truncated: false });
  });
});

describe('head and tail', () => {
  test.for([
    [head + tail, 1],
    [head + tail + 1, 2],
    [100_001, 2],
  ] as [number, number][])('one argument of %i bytes with its NUL is %i pieces', ([total, pieces]) => {
    const { captured, present } = capture([long(total - 1)], 1234, []);
    const argv = splitArgv(captured, total, 1234, 0);
    expect(argv.args).toEqual(present.flatMap(argumentsOf));
    expect(argv.args).toHaveLength(pieces);
    expect(argv).toMatchObject({ capturedBytes: head + tail, truncated: total > head + tail, raw: null });
  });

  test('the last argument of the head and the first of the tail are not joined', () => {
    const argv = [long(head - 3, 0x41), long(20_000, 0x61), Buffer.from('end')];
    const { captured, total } = capture(argv, 0, []);
    const { args } = splitArgv(captured, total, 0, 0);
    expect(args).toHaveLength(4);
    expect(args[0]).toBe(argv[0]?.toString());
    expect(args[1]).toBe(argv[1]?.subarray(0, 2).toString());
    expect(args[3]).toBe('end');
  });
});

describe('an absent page', () => {
  const argv = [
    long(5000),
    Buffer.alloc(0),
    ...Array.from({ length: 3000 }, (_, n) => Buffer.from(`argument-${n}`)),
    long(9000, 0x41),
  ];

  test.for(Array.from({ length: 10 }, (_, read) => read))('read %i of 10 costs its own bytes only', (read) => {
    for (const pageOffset of [0, 1, 2000, 4095]) {
      const made = capture(argv, pageOffset, [read]);
      const { args, capturedBytes, truncated, raw } = splitArgv(made.captured, made.total, pageOffset, 1 << read);
      expect(args).toEqual(made.present.flatMap(argumentsOf));
      expect(capturedBytes).toBe(made.present.reduce((sum, { length }) => sum + length, 0));
      expect(truncated).toBe(true);
      expect(raw).toBeNull();
    }
  });

  test('the longest argv takes all ten reads, where its pages lie worst', () => {
    const lengths = new Set([0, 1, 2000, 4095].map((pageOffset) => capture(argv, pageOffset, []).reads));
    expect(Math.max(...lengths)).toBe(10);
  });

  test('any set of them, any argv, any page offset', () => {
    const argument = fc
      .tuple(
        fc.oneof(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 4000, max: 12_000 })),
        fc.integer({ min: 1, max: 230 }),
      )
      .map(([bytes, first]) => long(bytes, first));
    fc.assert(
      fc.property(
        fc.array(argument, { maxLength: 8 }),
        fc.integer({ min: 0, max: page - 1 }),
        fc.uniqueArray(fc.integer({ min: 0, max: 9 })),
        (some, pageOffset, failed) => {
          const made = capture(some, pageOffset, failed);
          const result = splitArgv(made.captured, made.total, pageOffset, made.absent);
          expect(result.args).toEqual(made.present.flatMap(argumentsOf));
          expect(result.capturedBytes).toBe(Buffer.concat(made.present).length);
          expect(result.truncated).toBe(made.absent !== 0 || made.total > head + tail);
          const utf8 = made.present.every((run) =>
            run
              .toString('latin1')
              .split('\0')
              .every((part) => isUtf8(Buffer.from(part, 'latin1'))),
          );
          expect(result.raw).toEqual(utf8 ? null : Buffer.concat(made.present));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('zeros of an absent page are no arguments', () => {
    const made = capture([long(page * 3)], 0, [1]);
    expect(splitArgv(made.captured, made.total, 0, made.absent).args).toHaveLength(2);
  });
});
