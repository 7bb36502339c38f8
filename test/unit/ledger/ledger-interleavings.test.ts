import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LedgerEntry } from '../../../src/schemas/ledger-entry.ts';
import { settle } from '../producers/fakes.ts';
import { ledgerOf, ModelHost } from './model-host.ts';

type Model = { readonly host: ModelHost; readonly clock: { advance(millis: number): Promise<void> } };

/** A step of the host, of its reader or of time; in any order. */
const steps: Readonly<Record<string, (model: Model, size: number) => unknown>> = {
  exec: ({ host }, size) => host.exec({ count: size }),
  'exec that began in the epoch before': ({ host }) => host.exec({ late: true }),
  'exec without room': ({ host }) => host.exec({ lost: true }),
  'exec that is filtered': ({ host }, size) => host.exec({ count: size, filtered: true, late: size % 2 === 0 }),
  'exec of which only the bare fact has room': ({ host }, size) =>
    host.exec({ count: size, bare: true, late: size % 2 === 0 }),
  commit: ({ host }, size) => host.commit(size * 3),
  'commit of bare records': ({ host }, size) => host.commit(size, 0, host.bare),
  'commit of a broken record': ({ host }, size) => host.commit(size, 1),
  'move to the spool': ({ host }, size) => host.moveToSpool(size * 2),
  'acknowledge from the spool': ({ host }, size) => host.leaveSpool(size, 'acknowledged'),
  'drop from the spool': ({ host }, size) => host.leaveSpool(size, 'evicted'),
  'lose the spool': ({ host }) => host.leaveSpool(host.spooled, 'missing'),
  packets: ({ host }, size) => host.packets(size % Math.max(1, host.slots.length), size),
  'packets without a key': ({ host }, size) => host.packets(size % Math.max(1, host.slots.length), size, 'overflow'),
  'packets that are filtered': ({ host }, size) =>
    host.packets(size % Math.max(1, host.slots.length), size, 'filtered'),
  'an interface': ({ host }, size) => host.addInterface(`eth${size % 3}`),
  'begin flip': ({ host }) => host.beginFlip(),
  'end flip': ({ host }) => host.endFlip(),
  'read map': ({ host }) => host.readMap(),
  'acknowledge packets': ({ host }) => host.acknowledgePackets(),
  'whole flip': ({ host }) => host.flip(),
  'many flips, each with an exec, and some of them acknowledged': async ({ host, clock }, size) => {
    for (let i = 0; i < size * 2; i += 1) {
      host.exec();
      if (i % 3 === 0) host.commit(1);
      await host.flip();
      await clock.advance(500);
    }
  },
  'retry packets': ({ host }, size) => {
    host.packetState = size % 2 === 0 ? 'degraded' : 'capturing';
  },
  time: ({ clock }, size) => clock.advance(size * 150),
  'much time': ({ clock }, size) => clock.advance(size * 700),
};

const history = fc.array(fc.tuple(fc.constantFrom(...Object.keys(steps)), fc.integer({ min: 1, max: 7 })), {
  minLength: 20,
  maxLength: 120,
});

/** What each entry must say, whatever has happened and in whichever order. */
function check(entries: readonly LedgerEntry[], host: ModelHost): void {
  const newest = new Map<string, LedgerEntry>();
  for (const entry of entries) {
    const { stream_name: stream, epoch, pending, closed, low_watermark } = entry;
    expect(entry.unexplained, `${stream} through ${epoch}`).toBe(0);
    // Records of filtered packets are not pending, and keep their epoch open all the same.
    if (stream === 'exec' || pending > 0) expect(closed).toBe(pending === 0);
    if (stream === 'exec') expect(entry.seen).toBe(host.execsThrough(epoch));
    const before = newest.get(stream);
    expect(epoch).toBeGreaterThanOrEqual(before?.epoch ?? 0);
    expect(entry.published).toBeGreaterThanOrEqual(before?.published ?? 0);
    expect(low_watermark).toBeGreaterThanOrEqual(before?.low_watermark ?? 0);
    // An epoch that is closed stays as it is.
    if (before?.closed && before.epoch === epoch) expect({ ...entry, state: '' }).toEqual({ ...before, state: '' });
    newest.set(stream, entry);
  }
}

test('the accounts of all streams balance and close, however flips, commits and entries interleave', {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(history, fc.constantFrom(1_000, 3_000), async (steps_, intervalMillis) => {
      const host = new ModelHost();
      host.addInterface('eth0');
      const { ledger, clock, batches, lines } = ledgerOf(host, { intervalMillis });
      const stop = new AbortController();
      const running = ledger.run(stop.signal);
      for (const [name, size] of steps_) {
        await steps[name]?.({ host, clock }, size);
        await settle();
      }
      stop.abort();
      await running;
      check(batches.flat(), host);

      for (const ring of [host.whole, host.bare]) host.commit(ring.backlog, 0, ring);
      host.leaveSpool(host.spooled, 'acknowledged');
      let finished: boolean | undefined;
      const finishing = ledger.finish('stopped', new AbortController().signal).then((closed) => {
        finished = closed;
      });
      while (finished === undefined) {
        host.endFlip();
        await settle();
        host.readMap();
        host.acknowledgePackets();
        await clock.advance(100);
      }
      await finishing;
      expect(finished).toBe(true);
      check(batches.flat(), host);
      const last = batches.at(-1) as readonly LedgerEntry[];
      expect(new Set(last.map(({ stream_name }) => stream_name))).toEqual(
        new Set(['exec', ...host.slots.map(({ name }) => `packets:${name}`)]),
      );
      for (const { stream_name, state, closed, seen } of last) {
        expect({ state, closed }).toEqual({ state: 'stopped', closed: true });
        const slots = host.slots.filter(({ name }) => stream_name === `packets:${name}`);
        const packets = slots.reduce((total, slot) => total + slot.seen, 0);
        expect(seen).toBe(stream_name === 'exec' ? host.execsThrough(host.epoch) : packets);
      }
      expect(lines).toEqual([]);
    }),
    { numRuns: 150 },
  );
});
