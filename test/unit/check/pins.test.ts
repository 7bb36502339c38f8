import { describe, expect, test } from 'vitest';
import { interfaceFindings } from '../../../src/check/interfaces.ts';
import { ownerOf, type Pins, pinsFinding } from '../../../src/check/pins.ts';
import type { PacketsConfig } from '../../../src/config/types.ts';
import type { PresentInterface } from '../../../src/kernel/packet-capture.ts';

describe('pins', () => {
  const pins: Pins = {
    pinPath: '/p',
    layouts: ['v1'],
    execs: true,
    exits: true,
    packets: true,
    interfaces: [],
    owner: undefined,
  };
  const everything = { execRingBytes: 1, exitRingBytes: 1, packets: {} as PacketsConfig };

  test.each([
    [undefined, everything, 'pass', 'none'],
    [pins, everything, 'pass', 'takes them over'],
    [{ ...pins, layouts: [] }, everything, 'pass', 'empty'],
    [{ ...pins, owner: 7 }, everything, 'fail', 'process 7 owns /p'],
    [{ ...pins, layouts: ['v1', 'v2'] }, everything, 'fail', 'holds v2'],
    [pins, { ...everything, execRingBytes: undefined }, 'fail', 'captures execs'],
    [pins, { ...everything, exitRingBytes: undefined }, 'fail', 'captures exits'],
    [pins, { ...everything, packets: undefined }, 'fail', 'counts packets'],
    [{ ...pins, exits: false }, { ...everything, exitRingBytes: undefined }, 'pass', 'takes them over'],
  ] as const)('%o with %o: %s', (found, config, status, text) => {
    expect(pinsFinding(found, config)).toMatchObject({ status, found: expect.stringContaining(text) });
  });

  test('the owner by its lock, and by no lock of another kind or file', () => {
    const locks = [
      '1: POSIX  ADVISORY  WRITE 11 00:27:900 0 EOF',
      '2: FLOCK  ADVISORY  READ  12 00:27:900 0 EOF',
      '3: FLOCK  ADVISORY  WRITE 13 00:27:9001 0 EOF',
      '3: -> FLOCK  ADVISORY  WRITE 14 00:27:900 0 EOF',
      '4: FLOCK  ADVISORY  WRITE 15 00:27:900 0 EOF',
      '',
    ].join('\n');
    expect(ownerOf(locks, { dev: 0x27, ino: 900 })).toBe(15);
    expect(ownerOf(locks, { dev: 0x28, ino: 900 })).toBeUndefined();
    // As makedev(0x103, 0x401) puts the two numbers together.
    const disk = { dev: (0x401 & 0xff) | (0x103 << 8) | ((0x401 & ~0xff) << 12), ino: 5 };
    expect(ownerOf('1: FLOCK  ADVISORY  WRITE 16 103:401:5 0 EOF', disk)).toBe(16);
  });
});

describe('interfaces', () => {
  const card: PresentInterface = {
    index: 2,
    name: 'eth0',
    kind: 'physical',
    up: true,
    hasProgram: false,
    programId: 0,
  };
  const lo: PresentInterface = { ...card, index: 1, name: 'lo', kind: 'loopback' };
  const statuses = (present: readonly PresentInterface[], wanted: readonly string[], ours: readonly number[] = []) =>
    interfaceFindings(present, wanted, ours).map(({ status, subject, found }) => [status, subject, found]);

  test('auto is every physical one; others are named', () => {
    expect(statuses([lo, card], ['auto'])).toEqual([['pass', 'interface eth0', 'physical, without an XDP program']]);
    expect(statuses([lo, card], ['lo'])).toEqual([['pass', 'interface lo', 'loopback, without an XDP program']]);
  });

  test('what is not counted on is degraded: gone, down, taken, none for auto', () => {
    expect(statuses([lo], ['auto', 'eth1'])).toEqual([
      ['degraded', 'interface eth1', 'it does not exist'],
      ['degraded', 'interface auto', 'no physical interface is up'],
    ]);
    expect(statuses([{ ...card, up: false }], ['eth0'])).toEqual([['degraded', 'interface eth0', 'it is down']]);
    const taken = { ...card, hasProgram: true, programId: 77 };
    expect(statuses([taken], ['auto'])).toMatchObject([
      ['degraded', 'interface eth0', expect.stringContaining('another XDP program (program 77)')],
    ]);
    expect(statuses([{ ...taken, programId: 0 }], ['auto'])).toMatchObject([
      ['degraded', 'interface eth0', expect.stringContaining('one for each mode')],
    ]);
  });

  test('our own program of an earlier run is none of another', () => {
    const ours = { ...card, hasProgram: true, programId: 77 };
    expect(statuses([ours], ['auto'], [2])).toMatchObject([['pass', 'interface eth0', expect.any(String)]]);
  });
});
