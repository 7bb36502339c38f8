import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const units = ['bpf2kafka.service', 'bpf2kafka-attached.service'];

test.for(units)('systemd knows every setting of %s and takes its value', (name, { skip }) => {
  const unit = readFileSync(join(import.meta.dirname, '../../../deploy', name), 'utf8');
  const directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-unit-'));
  try {
    // What it starts has to be there, and the program is not installed.
    writeFileSync(join(directory, name), unit.replace(/^(Exec\w+=\+?)bpf2kafka /gm, `$1${process.execPath} `));
    const words = ['verify', '--man=no', join(directory, name)];
    const { error, status, stderr } = spawnSync('systemd-analyze', words, { encoding: 'utf8' });
    skip(error !== undefined, 'systemd-analyze is not installed');
    // A line that it does not understand is ignored, with a word about it; it has words about this host's units, too.
    expect({ status, said: stderr.split('\n').filter((line) => line.includes(name)) }).toEqual({ status: 0, said: [] });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
