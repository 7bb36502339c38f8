import { expect, test } from 'vitest';
import type { Acknowledgement, Batch, Kept, OutgoingBatch, Source } from '../../src/batch.ts';
import { packRecords } from '../../src/records/record-packer.ts';
import type { Codec } from '../../src/schemas/codec.ts';
import { publish } from '../../src/sidecar.ts';
import { recordOf, settle } from './producers/fakes.ts';

/** A source that reads each batch into the same memory, as that of the execs; what it holds shows in the batch. */
function setUp(batches: number) {
  const memory = { value: 0 };
  const encoded: number[] = [];
  const committed: number[] = [];
  const released: number[] = [];
  let abandoned = false;
  async function* generate(): AsyncGenerator<Batch<{ readonly value: number }, Kept>, void> {
    for (let n = 1; n <= batches && !abandoned; n += 1) {
      memory.value = n;
      yield { events: [memory], commit: () => void committed.push(n) };
    }
  }
  const source: Source<{ readonly value: number }, Kept> = {
    [Symbol.asyncIterator]: generate,
    abandon() {
      abandoned = true;
    },
  };
  const codec: Codec<{ readonly value: number }> = {
    encode: ([event]) => {
      const { value } = event as { readonly value: number };
      encoded.push(value);
      const records = packRecords([recordOf(Buffer.from([value]))]);
      return { topic: 'exec-events', records, release: () => void released.push(value) };
    },
  };
  const sent: { readonly value: number | undefined; readonly answer: PromiseWithResolvers<Kept> }[] = [];
  const announced: (number | undefined)[] = [];
  const delivery = {
    announce: ({ records }: OutgoingBatch) => void announced.push(records.at(0).value[0]),
    accept({ records }: OutgoingBatch) {
      const answer = Promise.withResolvers<Kept>();
      sent.push({ value: records.at(0).value[0], answer });
      return answer.promise;
    },
  };
  const done = publish(source, { codec, delivery }, new AbortController().signal);
  return { encoded, committed, released, announced, sent, done };
}

const acknowledgement: Acknowledgement = { topic: 't', partition: 0, firstOffset: 0, lastOffset: 0, records: 1 };

test('a batch is encoded before the next one is asked for, sent when the one before is acknowledged, then committed', async () => {
  const { encoded, committed, announced, sent, done } = setUp(3);
  await settle();
  // The second is read, encoded and announced while the first is on its way, and nothing beyond it.
  expect(encoded).toEqual([1, 2]);
  expect(announced).toEqual([1, 2]);
  expect(sent).toHaveLength(1);
  sent[0]?.answer.resolve(acknowledgement);
  await settle();
  expect(committed).toEqual([1]);
  expect(encoded).toEqual([1, 2, 3]);
  sent[1]?.answer.resolve(acknowledgement);
  await settle();
  sent[2]?.answer.resolve(acknowledgement);
  await done;
  expect(sent.map(({ value }) => value)).toEqual([1, 2, 3]);
  expect(committed).toEqual([1, 2, 3]);
});

test('what is not acknowledged is not committed, nor anything behind it', async () => {
  const { committed, released, sent, done } = setUp(3);
  await settle();
  sent[0]?.answer.reject(new Error('stopped'));
  await expect(done).rejects.toThrow('stopped');
  expect(committed).toEqual([]);
  expect(released).toEqual([]);
  expect(sent).toHaveLength(1);
});

test('the memory of a batch is released when it is acknowledged, and not when it is in the spool, from which it may be sent', async () => {
  const { committed, released, sent, done } = setUp(2);
  await settle();
  expect(released).toEqual([]);
  sent[0]?.answer.resolve({ spoolId: 1, committed: () => {} });
  await settle();
  sent[1]?.answer.resolve(acknowledgement);
  await done;
  expect(committed).toEqual([1, 2]);
  expect(released).toEqual([2]);
});
