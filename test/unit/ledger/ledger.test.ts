import { describe, expect, test } from 'vitest';
import type { LedgerEntry } from '../../../src/schemas/ledger-entry.ts';
import { settle } from '../producers/fakes.ts';
import { ledgerOf, ModelHost } from './model-host.ts';

/** Each begins with a flip whose packets are acknowledged at once. */
async function seconds(host: ModelHost, clock: { advance(millis: number): Promise<void> }, count: number) {
  for (let i = 0; i < count; i += 1) {
    await host.flip();
    await clock.advance(1_000);
  }
}

async function start(options: Parameters<typeof ledgerOf>[1] = {}, host = new ModelHost()) {
  const parts = ledgerOf(host, options);
  const stop = new AbortController();
  const running = parts.ledger.run(stop.signal);
  await host.flip();
  await settle();
  const end = async () => {
    stop.abort();
    await running;
  };
  return { host, ...parts, end };
}

const epochs = (entries: readonly LedgerEntry[]) => entries.map(({ epoch }) => epoch);

describe('entries', () => {
  test('one at the start and one at each interval, also when the wall clock is set back', async () => {
    const host = new ModelHost();
    host.exec({ count: 5 });
    host.commit(5);
    const { clock, entriesOf, end } = await start({}, host);
    expect(epochs(entriesOf('exec'))).toEqual([1_000]);
    expect(entriesOf('exec')[0]).toMatchObject({
      closed: true,
      seen: 5,
      published: 5,
      unexplained: 0,
      low_watermark: 1_005,
    });

    clock.now -= 5 * 3_600_000;
    await seconds(host, clock, 9);
    expect(entriesOf('exec')).toHaveLength(1);
    await seconds(host, clock, 2);
    expect(entriesOf('exec')).toHaveLength(2);
    expect(entriesOf('exec')[1]).toMatchObject({ closed: true, seen: 5, low_watermark: 1_005 });
    await end();
  });

  test('of all streams go out together, each with its own counts', async () => {
    const host = new ModelHost();
    host.addInterface('eth0');
    host.addInterface('eth1');
    host.exec();
    host.commit(1);
    host.packets(0, 7);
    host.packets(1, 3, 'overflow');
    host.packets(1, 2, 'filtered');
    const { batches, end } = await start({}, host);
    expect(batches).toHaveLength(1);
    expect(batches[0]).toMatchObject([
      { stream_name: 'exec', seen: 1, published: 1, low_watermark: 1_001, state: 'capturing' },
      { stream_name: 'packets:eth0', seen: 7, published: 7, filtered: {}, low_watermark: 1_001, state: 'capturing' },
      { stream_name: 'packets:eth1', seen: 5, published: 3, filtered: { exclude_ip: 2 }, state: 'degraded' },
    ]);
    expect(batches[0]).toSatisfy((entries: LedgerEntry[]) => entries.every((entry) => entry.closed));
    await end();
  });

  test('two slots of one name are one stream', async () => {
    const host = new ModelHost();
    host.addInterface('eth0');
    host.packets(0, 7);
    const { clock, entriesOf, end } = await start({}, host);
    host.addInterface('eth0');
    host.packets(0, 1, 'filtered');
    host.packets(1, 4);
    host.packets(1, 2, 'filtered');
    await seconds(host, clock, 12);
    expect(entriesOf('packets:eth0')).toMatchObject([
      { seen: 7, published: 7 },
      { seen: 14, published: 11, filtered: { exclude_ip: 3 }, unexplained: 0 },
    ]);
    await end();
  });

  test('an interface that appears has its first one at once, the others wait for their time', async () => {
    const host = new ModelHost();
    host.addInterface('eth0');
    const { clock, batches, end } = await start({}, host);
    host.addInterface('veth1');
    host.packets(1, 9);
    await seconds(host, clock, 3);
    expect(batches).toHaveLength(2);
    expect(batches[1]).toMatchObject([{ stream_name: 'packets:veth1', seen: 9, published: 9, closed: true }]);
    await end();
  });

  test('a new loss makes one of its stream, soon and once', async () => {
    const host = new ModelHost();
    host.addInterface('eth0');
    const { clock, batches, end } = await start({}, host);
    host.exec({ lost: true });
    await seconds(host, clock, 3);
    const news = batches.slice(1).flat();
    expect(news).toMatchObject([
      { stream_name: 'exec', state: 'degraded', lost: { ring_full: 1 } },
      { stream_name: 'exec', state: 'capturing', lost: { ring_full: 1 } },
    ]);
    host.packets(0, 3, 'overflow');
    await seconds(host, clock, 2);
    expect(batches.slice(3).flat()[0]).toMatchObject({ stream_name: 'packets:eth0', state: 'degraded', seen: 3 });
    await end();
  });

  test('a stream whose map is being read for long is left out, and comes when it can', async () => {
    const host = new ModelHost();
    host.addInterface('eth0');
    const { clock, batches, entriesOf, end } = await start({}, host);
    await seconds(host, clock, 9);
    host.packets(0, 3);
    host.beginFlip();
    await clock.advance(1_000);
    host.endFlip();
    await clock.advance(1_500);
    expect(batches[1]).toMatchObject([{ stream_name: 'exec' }]);
    host.readMap();
    host.acknowledgePackets();
    await seconds(host, clock, 12);
    expect(entriesOf('packets:eth0').at(-1)).toMatchObject({ seen: 3, published: 3, closed: true });
    await end();
  });
});

describe('while packets wait for their acknowledgement', () => {
  test('the newest cut is told again at each interval, with what is pending, and no more often', async () => {
    const host = new ModelHost();
    host.addInterface('eth0');
    const { clock, entriesOf, end } = await start({}, host);
    host.packets(0, 4);
    host.beginFlip();
    host.endFlip();
    host.readMap();
    host.packetState = 'degraded';
    await clock.advance(9_000);
    expect(entriesOf('packets:eth0').slice(1)).toMatchObject([
      { epoch: 1_001, state: 'degraded', closed: false, seen: 4, published: 0, pending: 4, low_watermark: 1_001 },
    ]);
    host.exec({ lost: true }); // cannot be told before an epoch ends
    await clock.advance(20_000);
    expect(epochs(entriesOf('packets:eth0').slice(2))).toEqual([1_001, 1_001]);
    expect(epochs(entriesOf('exec'))).toEqual([1_000, 1_001, 1_001, 1_001]);

    host.packetState = 'capturing';
    host.acknowledgePackets();
    await host.flip();
    await clock.advance(5_000);
    expect(entriesOf('packets:eth0').at(-1)).toMatchObject({ state: 'capturing', closed: true, published: 4 });
    expect(entriesOf('exec').find(({ lost }) => lost.ring_full === 1)).toMatchObject({ state: 'degraded', seen: 1 });
    await end();
  });

  test('an epoch of filtered packets alone is open until their record is acknowledged', async () => {
    const host = new ModelHost();
    host.addInterface('eth0');
    const { clock, entriesOf, end } = await start({ intervalMillis: 2_000 }, host);
    host.packets(0, 3, 'filtered');
    host.beginFlip();
    host.endFlip();
    host.readMap();
    for (let second = 0; second < 6; second += 1) await clock.advance(1_000);
    const filtered = { filtered: { exclude_ip: 3 }, published: 0, pending: 0, unexplained: 0 };
    expect(entriesOf('packets:eth0').at(-1)).toMatchObject({ ...filtered, closed: false, low_watermark: 1_001 });
    host.acknowledgePackets();
    for (let second = 0; second < 6; second += 1) await clock.advance(1_000);
    expect(entriesOf('packets:eth0').at(-1)).toMatchObject({ ...filtered, closed: true, low_watermark: 1_002 });
    await end();
  });

  test('a closed entry is told again as it was, also when later records have been acknowledged', async () => {
    const host = new ModelHost();
    const { clock, entriesOf, end } = await start({}, host);
    host.exec();
    host.commit(1);
    await clock.advance(20_000);
    const [first, again] = entriesOf('exec');
    expect(again).toEqual(first);
    await end();
  });

  test('the end of the run does not wait for a cut', async () => {
    const host = new ModelHost();
    const { clock, end } = await start({}, host);
    await clock.advance(10_500);
    await end();
  });

  test('the end of the run asks for none', async () => {
    const { host, clock, end } = await start();
    await clock.advance(1_500);
    let asked = 0;
    Object.assign(host, { next: () => Promise.resolve(++asked) });
    await end();
    expect(asked).toBe(0);
  });
});

test('an epoch of execs stays open while others end, and then closes with its own counts', async () => {
  const host = new ModelHost();
  host.exec({ count: 2 });
  const { clock, entriesOf, batches, lines, end } = await start({ intervalMillis: 3_000 }, host);
  await clock.advance(1_500);
  for (let i = 0; i < 30; i += 1) {
    host.exec({ count: 3 });
    if (i === 10) host.exec({ lost: true });
    await seconds(host, clock, 1);
  }
  expect(entriesOf('exec').length).toBeGreaterThan(5);
  expect(entriesOf('exec').at(-1)).toMatchObject({ epoch: 1_000, closed: false, seen: 2, pending: 2, lost: {} });

  // Later epochs are acknowledged, too, some of them in part, before the ledger looks again.
  host.commit(60);
  await seconds(host, clock, 4);
  const closed = entriesOf('exec').find((entry) => entry.closed);
  expect(closed).toMatchObject({ epoch: 1_000, seen: 2, published: 2, pending: 0, low_watermark: 1_002 });
  host.commit(1_000);
  await seconds(host, clock, 8);
  expect(entriesOf('exec').at(-1)).toMatchObject({ closed: true, seen: 93, published: 92, lost: { ring_full: 1 } });
  expect(batches.flat().filter(({ unexplained }) => unexplained !== 0)).toEqual([]);
  expect(lines).toEqual([]);
  await end();
});

test('an account that does not balance is published as it is, and said', async () => {
  const host = new ModelHost();
  host.exec({ count: 5 });
  host.commit(5);
  Object.assign(host.stream, { pending: () => 3 });
  const { clock, entriesOf, lines, end } = await start({}, host);
  await clock.advance(1_500);
  expect(entriesOf('exec')).toMatchObject([{ seen: 5, published: 5, pending: 3, unexplained: -3 }]);
  expect(lines).toMatchObject([{ level: 'error', fields: { stream: 'exec', epoch: 1_000, unexplained: -3 } }]);
  await end();
});

test('the run fails when an epoch cannot be ended', async () => {
  const host = new ModelHost();
  Object.assign(host, { advance: () => Promise.reject(new Error('no barrier')) });
  await expect(ledgerOf(host).ledger.run(new AbortController().signal)).rejects.toThrow('no barrier');
});

describe('resume', () => {
  const entry = { boot_id: 'boot', attach_id: 1_000, stream_name: 'exec', low_watermark: 1_400 } as LedgerEntry;

  test.each([
    ['goes on from the watermark of the same attach', entry, 1_400],
    ['takes nothing from another attach', { ...entry, attach_id: 900 }, 0],
    ['takes nothing from another stream', { ...entry, stream_name: 'packets:exec' }, 0],
  ])('%s', async (_, kept, expected) => {
    const host = new ModelHost();
    const { ledger, entriesOf, clock } = ledgerOf(host);
    host.exec();
    ledger.resume([kept]);
    const stop = new AbortController();
    const running = ledger.run(stop.signal);
    await host.flip();
    await clock.advance(1_500);
    expect(entriesOf('exec')[0]).toMatchObject({ closed: false, low_watermark: expected });
    stop.abort();
    await running;
  });
});

describe('finish', () => {
  test('tells what was still open, then the end of every stream', async () => {
    const host = new ModelHost();
    host.addInterface('eth0');
    host.exec({ count: 2 });
    const { ledger, clock, batches, end } = await start({}, host);
    await clock.advance(1_500);
    await end();
    host.exec();
    host.packets(0, 3);
    host.commit(3);
    const finished = ledger.finish('stopped', new AbortController().signal);
    await settle();
    await host.flip();
    expect(await finished).toBe(true);
    expect(batches.slice(1)).toMatchObject([
      [{ stream_name: 'exec', epoch: 1_000, closed: true, published: 2, state: 'capturing' }],
      [
        { stream_name: 'exec', epoch: 1_001, closed: true, published: 3, state: 'stopped' },
        { stream_name: 'packets:eth0', epoch: 1_001, closed: true, published: 3, state: 'stopped' },
      ],
    ]);
  });

  test('waits for what is pending at the end of the capture', async () => {
    const { host, ledger, clock, entriesOf, end } = await start();
    await end();
    host.exec();
    const finished = ledger.finish('stopped', new AbortController().signal);
    await host.flip();
    await clock.advance(5_000);
    host.commit(1);
    await clock.advance(1_000);
    expect(await finished).toBe(true);
    expect(entriesOf('exec').at(-1)).toMatchObject({ closed: true, pending: 0, state: 'stopped' });
  });

  test('is false when that is given up', async () => {
    const { host, ledger, clock, entriesOf, end } = await start();
    await end();
    host.exec();
    const giveUp = new AbortController();
    const finished = ledger.finish('stopped', giveUp.signal);
    await host.flip();
    await clock.advance(2_000);
    giveUp.abort();
    expect(await finished).toBe(false);
    expect(entriesOf('exec').at(-1)).toMatchObject({ closed: false, pending: 1 });
  });

  test('does not wait for it when the capture goes on', async () => {
    const { host, ledger, clock, entriesOf, end } = await start();
    await end();
    host.exec();
    const finished = ledger.finish(undefined, new AbortController().signal);
    await host.flip();
    await clock.advance(2_000);
    expect(await finished).toBe(false);
    expect(entriesOf('exec').at(-1)).toMatchObject({ closed: false, pending: 1 });
  });

  test('is false when no cut can be made before it is given up', async () => {
    const { host, ledger, end } = await start();
    await end();
    host.beginFlip();
    const giveUp = new AbortController();
    const finished = ledger.finish('stopped', giveUp.signal);
    await settle();
    giveUp.abort();
    expect(await finished).toBe(false);
  });
});
