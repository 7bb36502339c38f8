import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { beforeEach, expect, it } from 'vitest';
import { tool, whyNoCapture } from '../support/capture.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { waitFor } from '../support/wait-for.ts';

beforeEach(({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
});

it('tells the service manager that it is ready, that it lives, and that it stops', async () => {
  await using place = await SidecarPlace.create('notify');
  const directory = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-notify-'));
  const socket = join(directory, 'socket');
  const listener = spawn('setpriv', ['--pdeathsig', 'KILL', tool('notify_listener'), socket]);
  const told: string[] = [];
  createInterface({ input: listener.stdout }).on('line', (line) => told.push(line));
  try {
    await waitFor(() => told.includes('listening'), { what: 'somebody listens' });
    const words = ['run', '--brokers', kafka.brokers, '--create-topics', '--topic-prefix', 'notify.', '--http', 'off'];
    await using sidecar = new CommandProcess([...words, ...place.flags], {
      NOTIFY_SOCKET: socket,
      WATCHDOG_USEC: '200000',
    });
    await sidecar.ready();
    await waitFor(() => told.filter((line) => line === 'WATCHDOG=1').length >= 3, { what: 'it says that it lives' });
    expect(told.slice(0, 3)).toEqual(['listening', 'READY=1 STATUS=ready exec exit', 'WATCHDOG=1']);
    expect(await sidecar.end('SIGTERM')).toBe(0);
    await waitFor(() => told.includes('STOPPING=1 STATUS=publishing what is left'), { what: 'it says that it stops' });
  } finally {
    listener.kill();
    await once(listener, 'exit');
    await rm(directory, { recursive: true });
  }
});
