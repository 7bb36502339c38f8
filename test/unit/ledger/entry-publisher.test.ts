import { beforeEach, expect, test } from 'vitest';
import { Bpf2KafkaError } from '../../../src/errors.ts';
import { EntryPublisher } from '../../../src/ledger/entry-publisher.ts';
import type { LedgerEntry } from '../../../src/schemas/ledger-entry.ts';
import { FakeClock, fakeLog, settle } from '../producers/fakes.ts';

const regular = [{ state: 'capturing', closed: true }] as LedgerEntry[];
const end = [{ state: 'stopped', closed: true }] as LedgerEntry[];

/** What was done, in order. */
let done: string[];
/** Why the state directory takes nothing. */
let trouble: NodeJS.ErrnoException['code'];
let clock: FakeClock;
let lines: ReturnType<typeof fakeLog>['lines'];
let stop: AbortController;
let publisher: EntryPublisher;

beforeEach(() => {
  done = [];
  trouble = undefined;
  clock = new FakeClock();
  const fake = fakeLog();
  lines = fake.lines;
  stop = new AbortController();
  publisher = new EntryPublisher({
    lastEntries: {
      write: async (_, { published }) => {
        if (trouble === undefined) done.push(published ? 'kept as published' : 'kept');
        else throw failure(trouble);
      },
    },
    send: async () => done.push('sent'),
    clock,
    log: fake.log,
    signal: stop.signal,
  });
});

/** As writeState fails. */
function failure(code: string): Bpf2KafkaError {
  const cause = Object.assign(new Error(code), { code });
  return new Bpf2KafkaError('ERR_CONFIG', { operation: 'write', subject: 'ledger.json', reason: code, cause });
}

test('entries are kept before they are sent, so that a crash in between is noticed', async () => {
  await publisher.publish(regular);
  expect(done).toEqual(['kept', 'sent', 'kept as published']);
});

test('on a full disk entries are published all the same, which is told once, and kept again when there is room', async () => {
  trouble = 'ENOSPC';
  await publisher.publish(regular);
  await publisher.publish(regular);
  expect(done).toEqual(['sent', 'sent']);
  expect(lines.map(({ message }) => message)).toEqual(['no_space: the newest entries of the ledger are not kept']);
  trouble = undefined;
  await publisher.publish(regular);
  expect(done.slice(2)).toEqual(['kept', 'sent', 'kept as published']);
  expect(lines.at(-1)?.message).toBe('the newest entries of the ledger are kept again');
});

test('an end is not told before it is kept: it waits for room', async () => {
  trouble = 'EDQUOT';
  const publishing = publisher.publish(end);
  await clock.advance(5_000);
  expect(done).toEqual([]);
  trouble = undefined;
  await clock.advance(5_000);
  await publishing;
  expect(done).toEqual(['kept', 'sent', 'kept as published']);
});

test('an end that nobody waits for any longer is not told', async () => {
  trouble = 'ENOSPC';
  const publishing = publisher.publish(end);
  publishing.catch(() => {});
  await settle();
  stop.abort();
  await clock.advance(1_000);
  await expect(publishing).rejects.toMatchObject({ code: 'ERR_CONFIG' });
  expect(done).toEqual([]);
});

test('any other trouble with the state directory is an error', async () => {
  trouble = 'EROFS';
  await expect(publisher.publish(regular)).rejects.toMatchObject({ code: 'ERR_CONFIG' });
  expect(done).toEqual([]);
});
