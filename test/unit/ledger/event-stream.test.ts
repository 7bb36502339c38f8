import { expect, test } from 'vitest';
import type { EpochCut, StreamStatus } from '../../../src/kernel/addon.ts';
import { EventStreamAccount } from '../../../src/ledger/event-stream.ts';

test('the offsets of an entry are those of its destination, not the ones that an earlier place left in the pins', () => {
  const destination = {
    cluster_id: 'cluster',
    topic: 'new.exec-events',
    partition: 2,
    replication_factor: 1,
    min_insync_replicas: 1,
  };
  const status = { acknowledged: 900, undecodable: 0, firstOffset: 7, lastOffset: 906 } as StreamStatus;
  const reader = { firstOffset: -1, lastOffset: -1, committedAfter: () => ({ acknowledged: 0, undecodable: 0 }) };
  const stream = new EventStreamAccount({
    name: 'exec',
    stream: { status: () => status, pending: () => 0 },
    reader,
    deliveryState: () => 'capturing',
    destination,
  });
  const counts = { entered: 900, fellThrough: 0, ringFull: 0, ringBusy: 0, filtered: {}, skipped: 0, seq: 900 };
  const cut = { epoch: 1, exec: counts } as unknown as EpochCut;
  expect(stream.account(cut)?.destination).toEqual({ ...destination, first_offset: -1, last_offset: -1 });
  Object.assign(reader, { firstOffset: 0, lastOffset: 41 });
  expect(stream.account(cut)?.destination).toEqual({ ...destination, first_offset: 0, last_offset: 41 });
});
