import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import type { Clock } from '../../../src/clock.ts';
import { printPacketTables, printPacketTotals } from '../../../src/commands/tail-packets.ts';
import type { PacketCount } from '../../../src/schemas/packet-count.ts';
import { flowCount } from '../schemas/packet-counts.ts';

/** Time that passes only while somebody sleeps: records are due at their moment, and the printer is never late. */
class Stage implements Clock {
  readonly #records: { at: number; count: PacketCount }[];
  readonly #stop = new AbortController();
  #now = 0;
  #deliver: (count: PacketCount | undefined) => void = () => {};

  /** @param records at which millisecond what comes in; the end comes a while after the last one */
  constructor(records: { at: number; count: Partial<PacketCount> }[]) {
    this.#records = records.map(({ at, count }) => ({ at, count: { ...flowCount, ...count } }));
  }

  nowMillis = () => this.#now;
  elapsedMillis = () => this.#now;
  after = (): never => {
    throw new Error('nobody waits so here');
  };

  async sleep(millis: number): Promise<void> {
    const until = this.#now + millis;
    while ((this.#records[0]?.at ?? Number.POSITIVE_INFINITY) <= until) await this.#next();
    this.#now = until;
  }

  async *counts(signal: AbortSignal): AsyncGenerator<PacketCount> {
    while (!signal.aborted) {
      const count = await new Promise<PacketCount | undefined>((resolve) => {
        this.#deliver = resolve;
        signal.addEventListener('abort', () => resolve(undefined), { once: true });
      });
      if (count === undefined) return;
      yield count;
    }
  }

  /** Prints until every record has been delivered and nothing moves any more. */
  async run(options: { limit?: number; screen?: number; screenShare?: number } = {}) {
    const { screen, ...rest } = options;
    const out = new PassThrough({ highWaterMark: 1 << 20 });
    if (screen !== undefined) Object.assign(out, { isTTY: true, rows: screen });
    const tables: { at: number; text: string }[] = [];
    out.on('data', (chunk: Buffer) => tables.push({ at: this.#now, text: chunk.toString() }));
    const printing = printPacketTables((signal) => this.counts(signal), {
      out,
      clock: this,
      signal: this.#stop.signal,
      ...rest,
    });
    await settle();
    // The printer sleeps only when something came: what is due after that is brought from here.
    while (this.#records.length > 0) await this.#next();
    await settle();
    this.#stop.abort();
    return { printed: await printing, tables };
  }

  async #next(): Promise<void> {
    const record = this.#records.shift();
    if (record === undefined) return;
    this.#now = Math.max(this.#now, record.at);
    this.#deliver(record.count);
    await settle();
  }
}

/** Until everything that is ready to run has run. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const counts = (tables: { text: string }[]) => tables.map(({ text }) => / \| (\d+)/.exec(text)?.[1]);

test('the records of an interval make one table, shortly after the last of them', async () => {
  const { printed, tables } = await new Stage([
    { at: 1000, count: { source_port: 1 } },
    { at: 1050, count: { source_port: 2 } },
    { at: 1150, count: { source_port: 3 } },
  ]).run();
  expect(printed).toBe(1);
  expect(tables[0]?.text.split('\n')).toHaveLength(5);
  expect(tables[0]?.at).toBeLessThanOrEqual(1300);
});

test('a table comes each second when a count comes each second, with the sum since the start', async () => {
  const records = [1, 2, 3, 4].map((epoch) => ({ at: epoch * 1000, count: { epoch, packets: 10 } }));
  const { tables } = await new Stage(records).run();
  expect(counts(tables)).toEqual(['10', '20', '30', '40']);
  const gaps = tables.slice(1).map(({ at }, index) => at - (tables[index]?.at ?? 0));
  for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(1000);
});

test('counts that come more often, as from several hosts, wait for the next table', async () => {
  const records = Array.from({ length: 20 }, (_, index) => ({ at: index * 300, count: { epoch: index } }));
  const { tables } = await new Stage(records).run();
  const gaps = tables.slice(1).map(({ at }, index) => at - (tables[index]?.at ?? 0));
  expect(gaps.length).toBeGreaterThanOrEqual(4);
  for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(1000);
  expect(counts(tables).at(-1)).toBe('20');
});

test('counts that come without a pause make a table a second', async () => {
  const records = Array.from({ length: 400 }, (_, index) => ({ at: index * 10, count: { epoch: index } }));
  const { tables } = await new Stage(records).run();
  expect(tables.length).toBeGreaterThanOrEqual(3);
  expect(tables.length).toBeLessThanOrEqual(5);
  expect(counts(tables).at(-1)).toBe('400');
});

test('a repeat prints nothing', async () => {
  const { printed } = await new Stage([
    { at: 0, count: {} },
    { at: 5000, count: {} },
    { at: 9000, count: {} },
  ]).run();
  expect(printed).toBe(1);
});

test('nothing is printed when nothing comes', async () => {
  expect(await new Stage([]).run()).toEqual({ printed: 0, tables: [] });
});

test('the limit counts tables and ends the reading', async () => {
  const records = [1, 2, 3, 4].map((epoch) => ({ at: epoch * 5000, count: { epoch } }));
  const { printed, tables } = await new Stage(records).run({ limit: 2 });
  expect([printed, counts(tables)]).toEqual([2, ['1', '2']]);
});

test('each table is one write of whole lines', async () => {
  const records = Array.from({ length: 3 }, (_, index) => ({ at: 0, count: { source_port: index } }));
  const { tables } = await new Stage(records).run();
  expect(tables.map(({ text }) => text.endsWith('\n'))).toEqual([true]);
});

test('on a terminal the table leaves room for the cursor, and for others when it shares the screen', async () => {
  const records = () => Array.from({ length: 100 }, (_, index) => ({ at: 0, count: { source_port: index } }));
  const lines = async (options: { screen?: number; screenShare?: number }) =>
    (await new Stage(records()).run(options)).tables[0]?.text.trimEnd().split('\n').length;
  expect(await lines({})).toBe(101);
  expect(await lines({ screen: 41 })).toBe(40);
  expect(await lines({ screen: 41, screenShare: 0.5 })).toBe(20);
});

test('what ends the reading is thrown', async () => {
  const failing = printPacketTables(
    async function* (): AsyncGenerator<PacketCount> {
      yield flowCount;
      throw new Error('the broker is gone');
    },
    { out: new PassThrough(), clock: new Stage([]), signal: new AbortController().signal },
  );
  await expect(failing).rejects.toThrow('the broker is gone');
});

test('counts that have an end make one table, and none when there are none', async () => {
  const printed = async (counts: Partial<PacketCount>[]) => {
    const out = new PassThrough();
    const written: string[] = [];
    out.on('data', (chunk: Buffer) => written.push(chunk.toString()));
    const each = async function* () {
      for (const count of counts) yield { ...flowCount, ...count };
    };
    const tables = await printPacketTotals(each(), { out, signal: new AbortController().signal });
    await settle();
    return { tables, written };
  };
  const { tables, written } = await printed([{ packets: 5 }, { epoch: flowCount.epoch + 1, packets: 7 }]);
  expect([tables, written]).toEqual([1, [expect.stringMatching(/ => :443 \| 12\n$/)]]);
  expect(await printed([])).toEqual({ tables: 0, written: [] });
});
