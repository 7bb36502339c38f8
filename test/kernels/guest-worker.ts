import { createReadStream, openSync, writeSync } from 'node:fs';
import { init, runBaseTests, setupEnvironment } from 'vitest/worker';
import { encodeFrame, FrameDecoder } from './frames.ts';

/**
 * The worker of vitest in a guest: what a forked process gets over its IPC channel comes over a virtio port here.
 * @param channel path of the port
 */
export function serve(channel: string): void {
  const port = openSync(channel, 'r+');

  /** The port takes at most 32 KiB at once (drivers/char/virtio_console.c, port_fops_write). */
  function writeAll(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(port, bytes, at);
  }

  type Listener = (message: unknown) => void;
  const listeners = new Set<Listener>();
  const decoder = new FrameDecoder();
  let first = true;

  createReadStream(channel, { fd: port, autoClose: false }).on('data', (chunk) => {
    for (const message of decoder.push(chunk as Buffer)) {
      // The environment comes before vitest's own messages.
      if (first) Object.assign(process.env, message);
      else for (const listener of listeners) listener(message);
      first = false;
    }
  });

  init({
    post: (message) => writeAll(encodeFrame(message)),
    on: (listener: Listener) => listeners.add(listener),
    off: (listener: Listener) => listeners.delete(listener),
    runTests: (state, traces) => runBaseTests('run', state, traces),
    collectTests: (state, traces) => runBaseTests('collect', state, traces),
    setup: setupEnvironment,
    // A read waits in the port and would keep the process.
    teardown: () => process.exit(),
  });
}
