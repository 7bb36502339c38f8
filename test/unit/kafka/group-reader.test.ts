import { expect, test } from 'vitest';
import { Bpf2KafkaError } from '../../../src/errors.ts';
import { type GroupMember, GroupReader, type RecordBatch } from '../../../src/kafka/group-reader.ts';
import { FakeClock, settle } from '../producers/fakes.ts';

/** A member whose fetches, rebalances and end are in the hands of the test. */
class FakeMember implements GroupMember {
  readonly commits: string[] = [];
  readonly resolved: string[] = [];
  refuse: Error | undefined;
  heartbeats = 0;
  heartbeatError: Error | undefined;
  closed = 0;
  end: (error: Error) => void = () => {};
  #eachBatch: Parameters<GroupMember['run']>[0] | undefined;

  async connect() {}
  async subscribe() {}
  async run(eachBatch: Parameters<GroupMember['run']>[0]) {
    this.#eachBatch = eachBatch;
  }
  onEnd(listener: (error: Error) => void) {
    this.end = listener;
  }
  async commit({ topic, partition, offset }: { topic: string; partition: number; offset: string }) {
    if (this.refuse !== undefined) throw this.refuse;
    this.commits.push(`${topic}/${partition}@${offset}`);
  }
  async close() {
    this.closed += 1;
  }

  /** What kafkajs hands over; settles when it may fetch again. */
  fetch(first: number, count: number): Promise<void> {
    const messages = Array.from({ length: count }, (_, index) => ({
      offset: String(first + index),
      timestamp: '1764000000000',
      key: Buffer.from('host'),
      value: Buffer.from(`v${first + index}`),
    }));
    return (this.#eachBatch as Parameters<GroupMember['run']>[0])({
      batch: { topic: 't', partition: 2, messages },
      heartbeat: async () => {
        this.heartbeats += 1;
        if (this.heartbeatError !== undefined) throw this.heartbeatError;
      },
      resolveOffset: (offset) => this.resolved.push(offset),
      isRunning: () => true,
      isStale: () => false,
    });
  }
}

async function open() {
  const member = new FakeMember();
  const clock = new FakeClock();
  const stop = new AbortController();
  const fail = (cause: unknown) => new Bpf2KafkaError('ERR_BROKER', { operation: 'read', reason: String(cause) });
  const reader = await GroupReader.open({ member, topic: 't', fail, clock, signal: stop.signal });
  const batches = reader[Symbol.asyncIterator]();
  const next = async () => (await batches.next()).value as RecordBatch;
  return { member, clock, stop, reader, batches, next };
}

const offsets = ({ records }: RecordBatch) => records.map(({ offset }) => Number(offset));

test('nothing is committed, and nothing more fetched, before the reader says that it has done', async () => {
  const { member, next } = await open();
  let fetched = false;
  void member.fetch(5, 3).then(() => {
    fetched = true;
  });
  const batch = await next();
  expect(offsets(batch)).toEqual([5, 6, 7]);
  await settle();
  expect([member.commits, member.resolved, fetched]).toEqual([[], [], false]);
  await batch.commit();
  await settle();
  // The offset that is committed is that of the next record.
  expect([member.commits, member.resolved, fetched]).toEqual([['t/2@8'], ['7'], true]);
});

test('a large fetch comes in batches of 500, each committed for itself', async () => {
  const { member, next } = await open();
  const fetching = member.fetch(0, 1_100);
  for (const [first, length] of [
    [0, 500],
    [500, 500],
    [1000, 100],
  ] as const) {
    const batch = await next();
    expect([offsets(batch)[0], batch.records.length]).toEqual([first, length]);
    await batch.commit();
  }
  await fetching;
  expect(member.commits).toEqual(['t/2@500', 't/2@1000', 't/2@1100']);
});

test('only a part can be committed', async () => {
  const { member, next } = await open();
  void member.fetch(5, 3);
  await (await next()).commit(2);
  expect(member.commits).toEqual(['t/2@7']);
});

test('heartbeats go on while a batch takes its time, also when the group is rebalancing', async () => {
  const { member, clock, next } = await open();
  const fetching = member.fetch(0, 1);
  const batch = await next();
  await clock.advance(3_000);
  expect(member.heartbeats).toBe(1);
  member.heartbeatError = new Error('the group is rebalancing');
  await clock.advance(6_000);
  expect(member.heartbeats).toBe(3);
  await batch.commit();
  await fetching;
  expect(member.commits).toEqual(['t/2@1']);
});

test('a commit that is refused is for the consumer to act upon, and the reader goes on', async () => {
  const { member, next } = await open();
  member.refuse = new Error('REBALANCE_IN_PROGRESS');
  const fetching = member.fetch(0, 1_000);
  fetching.catch(() => {});
  await (await next()).commit();
  await expect(fetching).rejects.toThrow('REBALANCE_IN_PROGRESS');
  // The position stays: the same records are fetched again.
  expect(member.resolved).toEqual([]);
  member.refuse = undefined;
  void member.fetch(0, 1);
  await (await next()).commit();
  expect(member.commits).toEqual(['t/2@1']);
});

test('after the signal the batch at hand can be committed, then it ends', async () => {
  const { member, stop, batches, next } = await open();
  const fetching = member.fetch(0, 1_000);
  const batch = await next();
  stop.abort();
  await batch.commit();
  expect(await batches.next()).toEqual({ done: true, value: undefined });
  await fetching;
  expect(member.commits).toEqual(['t/2@500']);
});

test('the signal ends the wait for records', async () => {
  const { stop, batches } = await open();
  const waiting = batches.next();
  stop.abort();
  expect(await waiting).toEqual({ done: true, value: undefined });
});

test('close lets a batch that was given up go without a commit, and leaves the group once', async () => {
  const { member, reader, next } = await open();
  const fetching = member.fetch(0, 3);
  await next();
  await Promise.all([reader.close(), reader.close()]);
  await fetching;
  expect([member.commits, member.resolved, member.closed]).toEqual([[], [], 1]);
});

test('a consumer that ended for good ends the reading with an error', async () => {
  const { member, batches } = await open();
  const waiting = batches.next();
  member.end(new Error('gone'));
  await expect(waiting).rejects.toMatchObject({ code: 'ERR_BROKER', reason: 'Error: gone' });
});
