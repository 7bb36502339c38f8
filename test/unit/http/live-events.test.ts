import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { LiveEvents } from '../../../src/http/live-events.ts';
import { FakeClock, fakeLog } from '../producers/fakes.ts';

/** A client that takes messages until it is told not to. */
class FakeClient extends EventEmitter {
  readonly messages: string[] = [];
  writableNeedDrain = false;
  destroyed = false;

  write(text: string): boolean {
    this.messages.push(text);
    return !this.writableNeedDrain;
  }

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }

  get response(): ServerResponse {
    return this as unknown as ServerResponse;
  }
}

function setUp() {
  const clock = new FakeClock();
  let total = 0;
  let views = 0;
  let texts = 0;
  let ended = false;
  let broken = false;
  const { log, lines } = fakeLog();
  const live = {
    view(mark = 0) {
      views += 1;
      if (broken) throw new Error('out of order');
      if (ended) return undefined;
      return {
        mark: total,
        json(withArgv: boolean) {
          texts += 1;
          return JSON.stringify({ from: mark, to: total, withArgv });
        },
      };
    },
  };
  const events = new LiveEvents(live, clock, log);
  return {
    clock,
    events,
    add: (count: number) => {
      total += count;
    },
    join(withArgv = false): FakeClient {
      const client = new FakeClient();
      const view = live.view();
      if (view !== undefined) events.serve(client.response, view, withArgv);
      return client;
    },
    end: () => {
      ended = true;
    },
    setBroken: (now: boolean) => {
      broken = now;
    },
    lines,
    counts: () => ({ views, texts }),
  };
}

const state = (from: number, to: number, withArgv = false) =>
  `event: state\ndata: ${JSON.stringify({ from, to, withArgv })}\n\n`;

test('a client gets the state at once, then each second what came since', async () => {
  const { clock, add, join } = setUp();
  add(5);
  const client = join();
  expect(client.messages).toEqual([state(0, 5)]);
  add(2);
  await clock.advance(1_000);
  await clock.advance(1_000);
  expect(client.messages).toEqual([state(0, 5), state(5, 7), state(7, 7)]);
});

test('clients that are alike share the work, and who came later misses and repeats nothing', async () => {
  const { clock, add, join, counts } = setUp();
  const clients = [join(), join(), join(true)];
  add(1);
  await clock.advance(1_000);
  add(1);
  const late = join();
  const before = counts();
  await clock.advance(1_000);
  expect(counts()).toEqual({ views: before.views + 2, texts: before.texts + 3 });
  expect(clients[0]?.messages.at(-1)).toBe(state(1, 2));
  expect(clients[2]?.messages.at(-1)).toBe(state(1, 2, true));
  expect(late.messages).toEqual([state(0, 2), state(2, 2)]);
  add(1);
  await clock.advance(1_000);
  expect(late.messages.at(-1)).toBe(state(2, 3));
});

test('who does not take a message gets no other, then all since, and is given up after half a minute', async () => {
  const { clock, add, join } = setUp();
  const slow = join();
  const quick = join();
  slow.writableNeedDrain = true;
  add(3);
  await clock.advance(10_000);
  expect(slow.messages).toHaveLength(1);
  expect(quick.messages).toHaveLength(11);
  slow.writableNeedDrain = false;
  await clock.advance(1_000);
  expect(slow.messages.at(-1)).toBe(state(0, 3));

  slow.writableNeedDrain = true;
  await clock.advance(30_000);
  expect(slow.destroyed).toBe(false);
  await clock.advance(1_000);
  expect(slow.destroyed).toBe(true);
  expect(quick.destroyed).toBe(false);
});

test('nothing runs while nobody looks', async () => {
  const { clock, join, counts } = setUp();
  expect(clock.waits).toEqual([]);
  const client = join();
  await clock.advance(500);
  client.destroy();
  await clock.advance(1_000);
  expect(clock.waits).toEqual([]);
  const { views } = counts();
  await clock.advance(60_000);
  expect(counts().views).toBe(views);

  const again = join();
  await clock.advance(1_000);
  expect(again.messages).toHaveLength(2);
  expect(clock.waits).toHaveLength(1);
});

test('there is room for 32', () => {
  const { events, join } = setUp();
  const clients = Array.from({ length: 32 }, () => join());
  expect(events.isFull).toBe(true);
  clients[0]?.destroy();
  expect(events.isFull).toBe(false);
});

test('the end of the sidecar, and of the server, ends the streams', async () => {
  const { clock, join, end } = setUp();
  const clients = [join(), join()];
  end();
  await clock.advance(1_000);
  expect(clients.map(({ destroyed }) => destroyed)).toEqual([true, true]);

  const { clock: other, events, join: joinOther } = setUp();
  const client = joinOther();
  events[Symbol.dispose]();
  expect(client.destroyed).toBe(true);
  await other.advance(1_000);
  expect(other.waits).toEqual([]);
});

test('a state that cannot be told ends the streams, is logged, and ends nothing else', async () => {
  const { clock, join, setBroken, lines } = setUp();
  const client = join();
  setBroken(true);
  await clock.advance(1_000);
  expect(client.destroyed).toBe(true);
  expect(lines).toMatchObject([
    { level: 'error', fields: { reason: 'out of order' }, message: 'the live page has failed' },
  ]);
  setBroken(false);
  const again = join();
  await clock.advance(1_000);
  expect(again.messages).toHaveLength(2);
});
