import { once } from 'node:events';
import { connect } from 'node:net';
import { int16, int32 } from './wire-bytes.ts';

/**
 * Sets the quota of a client id, bytes a second; undefined for none. kafkajs has no AlterClientQuotas (key 49), so: version 0
 * by hand (kafka.apache.org/protocol).
 */
export async function limitProducer(port: number, clientId: string, bytesPerSecond: number | undefined): Promise<void> {
  const rate = Buffer.alloc(8);
  rate.writeDoubleBE(bytesPerSecond ?? 0);
  const remove = Buffer.from([bytesPerSecond === undefined ? 1 : 0]);
  const header = [int16(49), int16(0), int32(1), text('test')];
  const entity = [int32(1), text('client-id'), text(clientId)];
  const operation = [int32(1), text('producer_byte_rate'), rate, remove];
  const validateOnly = Buffer.from([0]);
  const request = Buffer.concat([...header, int32(1), ...entity, ...operation, validateOnly]);
  const socket = connect(port, '127.0.0.1');
  socket.write(Buffer.concat([int32(request.length), request]));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  // Length, correlation id, throttle time, number of entries, error code of the first.
  const error = answer.readInt16BE(16);
  if (error !== 0) throw new Error(`the broker answers with error ${error} to a new quota`);
}

function text(value: string): Buffer {
  return Buffer.concat([int16(value.length), Buffer.from(value)]);
}
