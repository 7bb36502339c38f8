import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { frameTable } from '../support/frame-table.ts';
import { VethPair, xdpProgramOf } from '../support/network.ts';
import { eachWithItsPins } from '../support/packet-tests.ts';
import { add, compareFrames, nameOf, PacketReader, sumOf, type Tally, tallyOf } from '../support/packets.ts';
import { countedAs } from '../support/reference-parser.ts';

/** What counting packets owes to the kernel: its verifier, its XDP, its maps; test/bpf has the same at length. */

const pins = eachWithItsPins();

// Two of the four kinds: each is a program that is verified anew, which takes an emulated machine seconds.
describe.each(['flow', 'example'] as const)('by %s', (keyKind) => {
  test('each frame is counted once, as what it is', async () => {
    const pair = new VethPair();
    using reader = new PacketReader(pins.path, { keyKind });
    expect(reader.packets.attach(pair.index)).toEqual({ mode: 'native', nativeRefusal: '' });
    const { actual, expected } = await compareFrames(reader, pair.index, frameTable, { keyKind });
    expect(actual).toEqual(expected);
  });
});

test('known frames on the wire, while epochs end and the program is replaced: each is in one epoch, once', async () => {
  const pair = new VethPair({ mtu: 9000 });
  let reader = new PacketReader(pins.path);
  reader.packets.attach(pair.index);
  const rounds = 20;
  const wanted: Tally = new Map();
  for (const { frame } of frameTable) add(wanted, nameOf(countedAs(frame)), rounds, rounds * frame.length);
  const runs = new Array(rounds).fill(frameTable.map(({ frame }) => ({ frame, times: 1 }))).flat();

  const tally: Tally = new Map();
  const programs = new Set<number | undefined>();
  let sending = true;
  const sent = pair.sendFrames(runs).finally(() => {
    sending = false;
  });
  while (sending) {
    tallyOf((await reader.flip()).events, tally);
    reader.close();
    reader = new PacketReader(pins.path);
    programs.add(xdpProgramOf(pair.name));
    await setImmediate();
  }
  const { packets, bytes } = await sent;
  const { events, cut } = await reader.flip();
  tallyOf(events, tally);
  expect(tally).toEqual(wanted);
  expect(sumOf(tally)).toEqual({ packets, bytes });
  expect(cut.packets).toMatchObject([{ seen: packets, seenBytes: bytes, overflow: 0, unobservedMicros: 0 }]);
  expect(programs.size).toBeGreaterThan(1);
});
