import { expect, test } from 'vitest';
import { RecentExecs } from '../../../src/live/recent-execs.ts';
import { packRecords } from '../../../src/records/record-packer.ts';
import { recordOf } from '../producers/fakes.ts';
import { fullEvent } from '../schemas/events.ts';

function setUp(limit: number) {
  let next = 0;
  let reads = 0;
  const execs = new RecentExecs(limit, (value) => {
    reads += 1;
    const pid = Number(value.toString());
    return pid < 0 ? undefined : { ...fullEvent, pid };
  });
  const recordsOf = (...pids: number[]) => packRecords(pids.map((pid) => recordOf(String(pid))));
  return {
    execs,
    add: (count: number) => execs.add(recordsOf(...Array.from({ length: count }, () => next++))),
    addForeign: () => execs.add(recordsOf(-1)),
    pids: (since = 0) => execs.since(since).events.map(({ pid }) => pid),
    reads: () => reads,
  };
}

test('the newest are kept, whatever the batches; the rest is a number', () => {
  const { execs, add, pids } = setUp(5);
  expect(execs.since(0)).toEqual({ published: 0, events: [] });
  add(3);
  expect(pids()).toEqual([0, 1, 2]);
  add(1);
  add(3);
  expect(execs.since(0).published).toBe(7);
  expect(pids()).toEqual([2, 3, 4, 5, 6]);
  add(100);
  expect(execs.total).toBe(107);
  expect(pids()).toEqual([102, 103, 104, 105, 106]);
});

test('since a moment there is only what came behind it', () => {
  const { execs, add, pids } = setUp(5);
  add(4);
  const mark = execs.total;
  expect(execs.since(mark)).toEqual({ published: 0, events: [] });
  add(2);
  expect(pids(mark)).toEqual([4, 5]);
  add(10);
  expect(execs.since(mark).published).toBe(12);
  expect(pids(mark)).toEqual([11, 12, 13, 14, 15]);
});

test('nothing is decoded before somebody asks, and then no more than is shown', () => {
  const { add, pids, reads } = setUp(5);
  for (let batch = 0; batch < 100; batch += 1) add(500);
  expect(reads()).toBe(0);
  pids();
  expect(reads()).toBe(5);
});

test('they are kept when the memory of their batch is used again', () => {
  const { execs, pids } = setUp(5);
  const records = packRecords(['11', '12', '13'].map((pid) => recordOf(pid)));
  execs.add(records);
  for (const { value } of records) value.fill('9');
  expect(pids()).toEqual([11, 12, 13]);
});

test('an exec of another schema is counted and not shown', () => {
  const { execs, add, addForeign, pids } = setUp(5);
  add(1);
  addForeign();
  add(1);
  expect(execs.since(0).published).toBe(3);
  expect(pids()).toEqual([0, 1]);
});
