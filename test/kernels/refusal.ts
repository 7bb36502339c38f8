import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** What a kernel that lacks a feature is told. */

test('run names the feature that is missing, ends with 3, and leaves nothing in the kernel', () => {
  const program = join(import.meta.dirname, '../../bin/bpf2kafka.js');
  const words = [program, 'run', '--brokers', '127.0.0.1:9', '--state-dir', '/tmp/state', '--interface', 'lo'];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  expect({ status, stdout }).toEqual({ status: 3, stdout: '' });
  expect(stderr.trim().split('\n').at(-1)).toMatch(
    /cannot capture on kernel 5\.10\.\S+: its BPF has no atomic operations that fetch .*; run it on Linux 5\.15 or newer/,
  );
  expect(readdirSync('/sys/fs/bpf')).toEqual([]);
});
