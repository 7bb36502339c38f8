import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OutgoingBatch } from '../../../src/batch.ts';
import type { PartitionSend, ProduceAnswer } from '../../../src/kafka/kafka-client.ts';
import type { RefusedRecord } from '../../../src/producers/dead-letters.ts';
import { Delivery } from '../../../src/producers/delivery.ts';
import { batchOf, destination, FakeClient, FakeClock, fail, fakeLog, HastyClock, settle, textsOf } from './fakes.ts';

/** A topic that refuses what `refuses` says, and whoever takes its dead letters. */
function setUp({
  refuses,
  code = 'MESSAGE_TOO_LARGE',
  maxRecords = 500,
  takesLetters = true,
}: {
  refuses: (values: readonly string[], sends: number) => boolean;
  code?: string;
  maxRecords?: number;
  takesLetters?: boolean;
}) {
  const client = new FakeClient();
  const clock = new HastyClock();
  const { log, lines } = fakeLog();
  /** In the order of the topic. */
  const written: string[] = [];
  const dead: string[] = [];
  let sends = 0;
  client.reply = (send: PartitionSend): ProduceAnswer | Promise<ProduceAnswer> => {
    const values = textsOf(send.records);
    sends += 1;
    if (refuses(values, sends)) return fail(`refused ${values.length}`, code)(send);
    const baseOffset = written.push(...values) - values.length;
    const { topic, partition } = send;
    return { partitions: [{ topic, partition, errorCode: 0, baseOffset }], throttleMillis: 0 };
  };
  const refused: RefusedRecord[] = [];
  const delivery = new Delivery({
    client,
    destinations: new Map([['exec-events', destination]]),
    clock,
    log,
    random: () => 0,
    settings: { maxRecords },
    ...(takesLetters
      ? {
          deadLetters: {
            take: async (letter: RefusedRecord) => {
              refused.push(letter);
              dead.push(letter.record.value.toString());
            },
          },
        }
      : {}),
  });
  return { client, clock, delivery, lines, written, dead, refused, sends: () => sends };
}

const names = (count: number, first = 0) => Array.from({ length: count }, (_, index) => `r${first + index}`);

/** Repeats left out. */
const distinct = (values: readonly string[]) => [...new Set(values)];

describe('a record that the broker refuses for its content', () => {
  test('is found in its batch and goes to the dead letter, with the reason; the others are written once, in order', async () => {
    const { client, delivery, written, dead, refused, lines } = setUp({ refuses: (values) => values.includes('r37') });
    const acknowledgement = await delivery.accept(batchOf(...names(100)));
    expect(dead).toEqual(['r37']);
    expect(written).toEqual(names(100).filter((name) => name !== 'r37'));
    expect(acknowledgement).toMatchObject({ firstOffset: 0, lastOffset: 98, records: 100 });
    expect(refused[0]).toMatchObject({
      topic: destination.topic,
      refusal: { code: 'MESSAGE_TOO_LARGE', reason: 'refused 1' },
    });
    expect(delivery.figures.deadLetters).toBe(1);
    expect(delivery.state.state).toBe('idle');
    expect(lines.filter(({ level }) => level === 'error')).toMatchObject([
      {
        fields: { code: 'MESSAGE_TOO_LARGE', topic: destination.topic },
        message: expect.stringContaining('dead letter'),
      },
    ]);
    // No producer is used again behind a refusal.
    expect(client.producers.filter(({ ended }) => ended === undefined)).toHaveLength(1);
  });

  test('is searched for in some sends, not in one a record', async () => {
    const { delivery, sends } = setUp({ refuses: (values) => values.includes('r300') });
    await delivery.accept(batchOf(...names(500)));
    expect(sends()).toBeLessThan(25);
  });

  test.each(['MESSAGE_TOO_LARGE', 'INVALID_RECORD', 'INVALID_TIMESTAMP'])('%s', async (code) => {
    const { delivery, dead } = setUp({ code, refuses: (values) => values.includes('r1') });
    await delivery.accept(batchOf(...names(3)));
    expect(dead).toEqual(['r1']);
  });

  test('alone in its batch is a dead letter once the topic has taken again what it took before', async () => {
    const { delivery, written, dead } = setUp({ refuses: (values) => values.includes('bad') });
    const good = batchOf('good');
    await delivery.accept(good);
    good.records.at(0).value.write('gone'); // its memory is used again
    const acknowledgement = await delivery.accept(batchOf('bad'));
    expect(acknowledgement).toMatchObject({ firstOffset: -1, lastOffset: -1, records: 1 });
    expect(dead).toEqual(['bad']);
    expect(delivery.state.state).toBe('idle');
    expect(written).toEqual(['good', 'good']);
  });

  test('is found by a record of the batch behind it, which is sent as it is when the memory of both is used again', async () => {
    const { delivery, written, dead } = setUp({ refuses: (values) => values.some((v) => v.startsWith('bad')) });
    const batches = [batchOf('bad0'), batchOf('good', 'bad1')] as const;
    const accept = async (batch: OutgoingBatch) => {
      await delivery.accept(batch);
      for (const { value } of batch.records) value.fill('x');
    };
    for (const batch of batches) delivery.announce(batch);
    for (const batch of batches) await accept(batch);
    await accept(batchOf('bad2'));
    expect(dead).toEqual(['bad0', 'bad1', 'bad2']);
    expect(distinct(written)).toEqual(['good']);
  });

  test('among many in a row costs half a repeat', async () => {
    const poison = new Set(names(16, 4));
    const { delivery, written, dead } = setUp({ refuses: (values) => values.some((value) => poison.has(value)) });
    await delivery.accept(batchOf(...names(24)));
    expect(dead.toSorted()).toEqual([...poison].sort());
    expect(written.length - distinct(written).length).toBeLessThanOrEqual(poison.size / 2);
  });

  test('and is the first that this process sends waits for another one to be accepted', async () => {
    const { delivery, written, dead } = setUp({ refuses: (values) => values.includes('r0') });
    await delivery.accept(batchOf(...names(3)));
    expect(dead).toEqual(['r0']);
    expect(written).toEqual(['r1', 'r2']);
  });

  test('and is all that this process has sent is held, and a dead letter as soon as one of the batch behind it is accepted', async () => {
    const { delivery, written, dead, lines } = setUp({ refuses: (values) => values.some((v) => v.startsWith('bad')) });
    const first = batchOf('bad0');
    delivery.announce(first);
    const accepted = delivery.accept(first);
    while (!lines.some(({ message }) => message.includes('held'))) await settle();
    expect(dead).toEqual([]);
    const next = batchOf('bad1', 'good');
    delivery.announce(next);
    await accepted;
    expect(dead).toEqual(['bad0']);
    await delivery.accept(next);
    expect(dead).toEqual(['bad0', 'bad1']);
    expect(distinct(written)).toEqual(['good']);
  });

  test('is held when nobody takes dead letters, and the others of its batch are not', async () => {
    let small = true;
    const { delivery, written, lines } = setUp({
      takesLetters: false,
      refuses: (values) => small && values.includes('r1'),
    });
    const accepted = delivery.accept(batchOf(...names(4)));
    const held = () => lines.some(({ message }) => message.includes('held'));
    while (!held()) await settle();
    expect(written).toEqual(['r0', 'r2', 'r3']);
    small = false;
    await accepted;
    expect(written).toEqual(['r0', 'r2', 'r3', 'r1']);
  });

  test('for a limit that is none of its own is held', async () => {
    let small = true;
    const { delivery, dead } = setUp({
      code: 'RECORD_LIST_TOO_LARGE',
      refuses: (values, sends) => small && (values.includes('r1') || sends === 1),
    });
    const accepted = delivery.accept(batchOf(...names(3)));
    for (let turn = 0; turn < 20; turn += 1) await settle();
    expect(dead).toEqual([]);
    small = false;
    await accepted;
    expect(dead).toEqual([]);
  });

  test('is sent smaller when it can be', async () => {
    const { delivery, written } = setUp({ takesLetters: false, refuses: (values) => values.includes('whole') });
    await delivery.accept({ ...batchOf('whole'), smaller: batchOf('smaller').records });
    expect(written).toEqual(['smaller']);
  });
});

describe('a topic that refuses everything', () => {
  test('from the start of the process on is an outage, whatever is announced', async () => {
    let closed = true;
    const { delivery, written, dead, sends } = setUp({ refuses: () => closed });
    const batches = [batchOf('r0'), batchOf('r1', 'r2')];
    for (const batch of batches) delivery.announce(batch);
    const accepted = Promise.all(batches.map((batch) => delivery.accept(batch)));
    while (sends() < 100) await settle();
    expect(dead).toEqual([]);
    closed = false;
    await accepted;
    expect(dead).toEqual([]);
    expect(distinct(written).toSorted()).toEqual(['r0', 'r1', 'r2']);
  });

  test('is an outage: nothing is a dead letter, and all is written when it takes records again', async () => {
    let closed = false;
    const { delivery, written, dead, lines, sends } = setUp({ refuses: () => closed });
    await delivery.accept(batchOf('before'));
    closed = true;
    const accepted = delivery.accept(batchOf(...names(20)));
    const begun = sends();
    while (sends() < begun + 100) await settle();
    expect(dead).toEqual([]);
    expect(delivery.state).toMatchObject({ state: 'retrying', reason: 'MESSAGE_TOO_LARGE' });
    expect(lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    closed = false;
    await accepted;
    expect(dead).toEqual([]);
    // The first that is accepted is whichever was due; from then on their order holds.
    const [before, first, ...rest] = distinct(written);
    expect(before).toBe('before');
    expect(rest).toEqual(names(20).filter((name) => name !== first));
    expect(delivery.state.state).toBe('idle');
  });

  test('is not hurried: from the second record on each one costs a pause', async () => {
    const client = new FakeClient();
    const clock = new FakeClock();
    client.reply = fail('too large', 'MESSAGE_TOO_LARGE');
    const deadLetters = { take: () => Promise.reject(new Error('a dead letter')) };
    const options = { destinations: new Map([['exec-events', destination]]), clock, random: () => 1 };
    const delivery = new Delivery({ client, log: fakeLog().log, deadLetters, ...options });
    const accepted = delivery.accept(batchOf(...names(500)));
    accepted.catch(() => {});
    await settle();
    await clock.advance(60 * 60_000);
    // Two sends a pause of 30 s, besides those of the first search.
    expect(client.sends.length).toBeLessThan(300);
    expect(delivery.state.state).toBe('retrying');
    await delivery.close();
  });
});

describe('whatever is refused', () => {
  const batches = fc.integer({ min: 1, max: 24 }).chain((count) =>
    fc.record({
      count: fc.constant(count),
      poisoned: fc.uniqueArray(fc.nat(count - 1)),
      maxRecords: fc.integer({ min: 1, max: 24 }),
    }),
  );

  test('exactly that becomes a dead letter, once, and the rest is written in order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(batches, { minLength: 1, maxLength: 3 }), async (plan) => {
        const poison = new Set<string>();
        const all: string[] = [];
        const made = plan.map(({ count, poisoned }) => {
          const batch = names(count, all.length);
          all.push(...batch);
          for (const index of poisoned) poison.add(batch[index] as string);
          return batch;
        });
        const refuses = (values: readonly string[]) => values.some((value) => poison.has(value));
        const { delivery, written, dead } = setUp({ refuses, maxRecords: plan[0]?.maxRecords ?? 1 });
        await delivery.accept(batchOf('first')); // so that the topic is known to take records
        for (const batch of made) await delivery.accept(batchOf(...batch));
        expect(dead.toSorted()).toEqual([...poison].sort());
        expect(distinct(written)).toEqual(['first', ...all.filter((name) => !poison.has(name))]);
      }),
    );
  });

  test('a topic that refuses everything for a while, from any moment on, costs one dead letter at most and loses nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 24 }),
        fc.integer({ min: 1, max: 24 }),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 60 }),
        async (count, maxRecords, from, length) => {
          const refuses = (_: readonly string[], sends: number) => sends >= from && sends < from + length;
          const { delivery, written, dead } = setUp({ refuses, maxRecords });
          const batch = batchOf(...names(count));
          await delivery.accept(batch);
          await delivery.accept(batchOf(...names(count, count)));
          expect(dead.length).toBeLessThanOrEqual(1);
          expect([...distinct(written), ...dead].toSorted()).toEqual(names(2 * count).toSorted());
        },
      ),
    );
  });
});
