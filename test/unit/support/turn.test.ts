import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SharedTurn, takeTurn } from '../../support/turn.ts';

const module = join(import.meta.dirname, '../../support/turn.ts');

async function listen(name: string): Promise<void> {
  const server = createServer().listen(`\0bpf2kafka-test-${name}`);
  await once(server, 'listening');
  server.close();
}

test('a turn is one process’s alone until that is killed', async () => {
  const name = `unit-${process.pid}-killed`;
  const script = `
    const { takeTurn } = await import(${JSON.stringify(module)});
    await takeTurn(${JSON.stringify(name)});
    console.log('mine');
    setInterval(() => {}, 1_000);`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(owner.stdout, 'data');
    await expect(listen(name)).rejects.toThrow('EADDRINUSE');
  } finally {
    owner.kill('SIGKILL');
  }
  using _ = await takeTurn(name);
});

test('a turn can be given back', async () => {
  const name = `unit-${process.pid}-given-back`;
  {
    using _ = await takeTurn(name);
    await expect(listen(name)).rejects.toThrow('EADDRINUSE');
  }
  using _ = await takeTurn(name);
});

test('a shared turn is given back with the last of those who took it', async () => {
  const name = `unit-${process.pid}-shared`;
  const shared = new SharedTurn(name);
  {
    using _outer = await shared.take();
    {
      using _inner = await shared.take();
    }
    await expect(listen(name)).rejects.toThrow('EADDRINUSE');
  }
  await listen(name);
  using _again = await shared.take();
  await expect(listen(name)).rejects.toThrow('EADDRINUSE');
});
