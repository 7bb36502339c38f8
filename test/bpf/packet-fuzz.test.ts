import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, type TestContext, test } from 'vitest';
import type { AddressPrefix } from '../../src/kernel/packet-capture.ts';
import { packetKeyKinds } from '../../src/schemas/packet-count.ts';
import { newPinPath, removePins } from '../support/capture.ts';
import type { NamedFrame } from '../support/frame-table.ts';
import { chain, type Extension, ethernet, etherType, ipv4, ipv6, ipv6Address, protocol } from '../support/frames.ts';
import { removeNetwork, Tun, VethPair } from '../support/network.ts';
import { removePacketLeftovers, whyNoPackets } from '../support/packet-tests.ts';
import { closePacketReaders, compareFrames, PacketReader, sumOf } from '../support/packets.ts';

/** Arbitrary frames: the verdict is the same, each is in one class or key, and all of them add up. */

const long = process.env.BPF2KAFKA_LONG_TESTS === '1';
const batches = long ? 300 : 12;
const framesOfBatch = 400;

let pinPath: string;
let pair: VethPair;
let tun: Tun;

beforeAll(() => {
  if (whyNoPackets !== undefined) return;
  removePacketLeftovers();
  pair = new VethPair();
  tun = new Tun();
});

beforeEach((ctx: TestContext) => {
  if (whyNoPackets !== undefined) ctx.skip(whyNoPackets);
});

afterAll(() => {
  if (whyNoPackets === undefined) removeNetwork();
});

const numbers = Object.values(protocol);
const anyProtocol = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...numbers) },
  { weight: 1, arbitrary: fc.nat(255) },
);
const payload = fc.uint8Array({ maxLength: 60 });

/** From few hosts, so that keys come again and prefixes hit. */
const host4 = fc.tuple(fc.constantFrom(10, 192), fc.constant(0), fc.constantFrom(0, 2), fc.nat(3));
const host6 = fc
  .tuple(fc.nat(3), fc.constantFrom(0x20010db8, 0xfd000000))
  .map(([last, head]) => ipv6Address(last, head));
/** Mostly as it must be. */
const perhaps = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 8 });

const packet4 = fc
  .record(
    {
      protocol: anyProtocol,
      source: host4,
      destination: host4,
      options: fc.nat(10).map((words) => Buffer.alloc(words * 4, 1)),
      fragmentOffset: fc.constantFrom(0, 0, 0, 0, 1, 0x1fff),
      moreFragments: fc.boolean(),
      version: perhaps(fc.nat(15)),
      words: perhaps(fc.nat(15)),
      totalBytes: perhaps(fc.nat(120)),
      payload,
    },
    { requiredKeys: ['protocol', 'source', 'destination', 'payload'] },
  )
  .map(({ payload: bytes, ...fields }) => ipv4(withoutUndefined(fields), bytes));

const anyExtension: fc.Arbitrary<Extension> = fc.record({
  protocol: fc.constantFrom(0, 43, 44, 44, 51, 60, 135, 139, 140),
  rest: fc
    .tuple(
      fc.constantFrom(0, 0, 0, 1, 2, 3, 40),
      fc.constantFrom(0, 0, 0, 8, 9),
      fc.uint8Array({ minLength: 26, maxLength: 26 }),
    )
    // Of 8 to 32 bytes, whether the length in it is right or not; a fragment's offset is 0 more often than not.
    .map(([units, offset, filler]) => Buffer.from([units, 0, offset, ...filler].slice(0, 7 + (units % 4) * 8))),
});

const packet6 = fc
  .record({
    extensions: fc.oneof(
      { weight: 4, arbitrary: fc.array(anyExtension, { maxLength: 4 }) },
      { weight: 1, arbitrary: fc.array(anyExtension, { minLength: 14, maxLength: 18 }) },
    ),
    last: anyProtocol,
    source: host6,
    destination: host6,
    version: perhaps(fc.nat(15)),
    payloadBytes: perhaps(fc.nat(200)),
    payload,
  })
  .map(({ extensions, last, payload: bytes, ...fields }) => {
    const behind = chain(extensions, last, bytes);
    return ipv6(withoutUndefined({ next: behind.next, ...fields }), behind.payload);
  });

const packet = fc.oneof(
  { weight: 4, arbitrary: packet4.map((bytes) => ({ type: etherType.ipv4 as number, bytes })) },
  { weight: 4, arbitrary: packet6.map((bytes) => ({ type: etherType.ipv6 as number, bytes })) },
  { weight: 1, arbitrary: fc.record({ type: fc.nat(65_535), bytes: payload.map((bytes) => Buffer.from(bytes)) }) },
);

const tag = fc.tuple(fc.constantFrom<number>(etherType.vlan, etherType.qinq, etherType.oldQinq), fc.nat(65_535));
const tags = fc.oneof(
  { weight: 3, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.array(tag, { maxLength: 6 }) },
);

/** Bytes that are written over, and a length that is kept. */
const damage = fc.record({
  writes: fc.oneof(
    { weight: 2, arbitrary: fc.constant<[number, number][]>([]) },
    { weight: 1, arbitrary: fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 4 }) },
  ),
  keep: fc.oneof({ weight: 3, arbitrary: fc.constant(1500) }, { weight: 1, arbitrary: fc.nat(200) }),
});

/** The kernel runs no shorter ones. */
const shortestRun = 14;

function damaged(frame: Buffer, { writes, keep }: { writes: (readonly [number, number])[]; keep: number }): Buffer {
  const copy = Buffer.from(frame.subarray(0, Math.max(shortestRun, keep)));
  for (const [at, value] of writes) if (at < copy.length) copy[at] = value;
  return copy.length < shortestRun ? Buffer.concat([copy, Buffer.alloc(shortestRun - copy.length)]) : copy;
}

const arbitraryFrame = fc.oneof(
  {
    weight: 12,
    arbitrary: fc
      .tuple(packet, tags, damage)
      .map(([{ type, bytes }, tagList, harm]) => damaged(ethernet(type, bytes, tagList), harm)),
  },
  {
    weight: 1,
    arbitrary: fc.uint8Array({ minLength: shortestRun, maxLength: 1500 }).map((bytes) => Buffer.from(bytes)),
  },
);
const bareFrame = fc.tuple(packet, damage).map(([{ bytes }, harm]) => damaged(bytes, harm));

function withoutUndefined<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}

const named = (frames: readonly Buffer[]): NamedFrame[] =>
  frames.map((frame) => ({ name: frame.toString('hex'), frame }));

const excluded: readonly AddressPrefix[] = [
  { family: 4, address: Uint8Array.of(10, 0, 0, 0), prefixLength: 23 },
  { family: 6, address: ipv6Address(2), prefixLength: 127 },
];

const modes = packetKeyKinds.flatMap((keyKind) => [
  { keyKind, excluded: [] as readonly AddressPrefix[], what: `by ${keyKind}` },
  { keyKind, excluded, what: `by ${keyKind}, some hosts excluded` },
]);

describe.each(modes)('$what', (options) => {
  let reader: PacketReader;

  beforeAll(() => {
    if (whyNoPackets !== undefined) return;
    pinPath = newPinPath();
    reader = new PacketReader(pinPath, options);
    reader.packets.attach(pair.index);
    reader.packets.attach(tun.index);
  });

  afterAll(() => {
    closePacketReaders();
    if (whyNoPackets === undefined) removePins(pinPath);
  });

  test.each([
    { link: 'Ethernet', frames: arbitraryFrame, bare: false },
    { link: 'bare IP', frames: bareFrame, bare: true },
  ])('$link', { timeout: long ? 600_000 : 30_000 }, async ({ frames, bare }) => {
    const batch = fc.array(frames, { minLength: framesOfBatch, maxLength: framesOfBatch, size: 'max' });
    await fc.assert(
      fc.asyncProperty(batch, async (list) => {
        const index = bare ? tun.index : pair.index;
        const { actual, expected } = await compareFrames(reader, index, named(list), { ...options, bare });
        expect(actual).toEqual(expected);
        const bytes = list.reduce((sum, frame) => sum + frame.length, 0);
        expect(sumOf(actual.tally)).toEqual({ packets: list.length, bytes });
      }),
      // A batch that fails shows its frames; to shrink it would take hours.
      { numRuns: Math.ceil(batches / modes.length), endOnFailure: true },
    );
  });
});
