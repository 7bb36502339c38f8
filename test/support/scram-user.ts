import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { int16, int32 } from './wire-bytes.ts';

const iterations = 4096;
/** Number of the mechanism in the protocol, digest, and its length in bytes. */
const mechanisms = [
  [1, 'sha256', 32],
  [2, 'sha512', 64],
] as const;

/**
 * Sets the password of a user for both mechanisms of SCRAM, as `kafka-configs.sh --alter --entity-type users` does:
 * AlterUserScramCredentials, version 0 (kafka.apache.org/protocol). Kafka's own command is in a jar of 30 MB more.
 */
export async function setScramPassword(port: number, user: string, password: string): Promise<void> {
  // A request changes a user once.
  for (const mechanism of mechanisms) await alter(port, user, password, mechanism);
}

async function alter(port: number, user: string, password: string, mechanism: (typeof mechanisms)[number]) {
  const [number, digest, length] = mechanism;
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, iterations, length, digest);
  const upsertion = [compact(user), int8(number), int32(iterations), compact(salt), compact(salted), noTags];
  const deletions = varint(1);
  const body = [deletions, varint(2), ...upsertion, noTags];
  const request = Buffer.concat([int16(51), int16(0), int32(7), int16(4), Buffer.from('test'), noTags, ...body]);
  const socket = connect(port, '127.0.0.1');
  socket.write(Buffer.concat([int32(request.length), request]));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  // Size, correlation, tags, throttle time, number of results, name of the user, then the error.
  const error = answer.readInt16BE(4 + 4 + 1 + 4 + 1 + compact(user).length);
  if (error !== 0) throw new Error(`the broker answers with error ${error} to a new password`);
}

const noTags = Buffer.from([0]);

function int8(value: number): Buffer {
  return Buffer.from([value]);
}

/** Lengths and counts here are below 127. */
function varint(value: number): Buffer {
  return Buffer.from([value]);
}

function compact(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content as string);
  return Buffer.concat([varint(bytes.length + 1), bytes]);
}
