import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { answersWithBroker } from '../../../src/embedded-kafka/broker-probe.ts';

async function fakeBroker(answer: (socket: Socket) => void) {
  const server = createServer((socket) => socket.once('data', () => answer(socket)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.dispose]: () => void server.close(),
  };
}

/** Length, correlation id, number of brokers. */
function metadata(brokers: number): Buffer {
  const answer = Buffer.alloc(12);
  answer.writeInt32BE(8, 0);
  answer.writeInt32BE(1, 4);
  answer.writeInt32BE(brokers, 8);
  return answer;
}

test('a broker that names itself is ready, also when its answer comes in pieces', async () => {
  using broker = await fakeBroker((socket) => {
    socket.setNoDelay();
    socket.write(metadata(1).subarray(0, 5));
    setTimeout(() => socket.write(metadata(1).subarray(5)), 20);
  });
  expect(await answersWithBroker(broker.port, 1_000)).toBe(true);
});

test('a broker that is still fenced names none, and is not ready', async () => {
  using broker = await fakeBroker((socket) => socket.write(metadata(0)));
  expect(await answersWithBroker(broker.port, 1_000)).toBe(false);
});

test('a socket that closes, or stays silent, is not ready', async () => {
  using closing = await fakeBroker((socket) => socket.destroy());
  expect(await answersWithBroker(closing.port, 1_000)).toBe(false);
  using silent = await fakeBroker(() => {});
  expect(await answersWithBroker(silent.port, 50)).toBe(false);
});
