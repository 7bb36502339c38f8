import { connect } from 'node:net';

const apiKeyMetadata = 3;
/** With version 1 an empty list of topics means none, with version 0 it means all. */
const metadataVersion = 1;

/** int32 length, int16 api key, int16 version, int32 correlation id, nullable string client id, array of topics. */
function metadataRequest(): Buffer {
  const request = Buffer.alloc(4 + 2 + 2 + 4 + 2 + 4);
  request.writeInt32BE(request.length - 4, 0);
  request.writeInt16BE(apiKeyMetadata, 4);
  request.writeInt16BE(metadataVersion, 6);
  request.writeInt32BE(1, 8);
  request.writeInt16BE(-1, 12);
  request.writeInt32BE(0, 14);
  return request;
}

/**
 * Asks for metadata and says whether the answer names a live broker. A listening socket, or an answer to
 * ApiVersions, comes earlier, when the broker is still fenced and a topic could not be created yet.
 */
export function answersWithBroker(port: number, timeoutMillis: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const received: Buffer[] = [];
    const finish = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(timeoutMillis, () => finish(false));
    socket.on('connect', () => socket.write(metadataRequest()));
    socket.on('error', () => finish(false));
    socket.on('close', () => finish(false));
    socket.on('data', (chunk) => {
      received.push(chunk);
      const answer = Buffer.concat(received);
      // int32 length, int32 correlation id, int32 number of brokers
      if (answer.length >= 12) finish(answer.readInt32BE(8) > 0);
    });
  });
}
