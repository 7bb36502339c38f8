import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import type { ClockOffset } from '../../src/kernel/addon.ts';
import type { StructLayout } from '../../src/kernel/layout.ts';
import { CaptureReader, newPinPath, removePins } from '../../test/support/capture.ts';
import { atEnd } from '../harness/cleanup.ts';

/** Records as the kernel wrote them, and what is needed to read them. */
export interface Recording {
  readonly layout: StructLayout;
  readonly clockOffsets: readonly ClockOffset[];
  readonly attachId: number;
  readonly bootId: string;
  readonly records: readonly Buffer[];
}

/**
 * What hosts execute all day: short tools, shells, a compiler's line, a service's. Each is a real exec of a real
 * program; what it prints or fails with does not matter.
 */
const typical: readonly (readonly string[])[] = [
  ['/bin/ls', '-l', '--color=never', '/usr/share/doc'],
  ['/bin/cat', '/proc/loadavg', '/proc/meminfo'],
  ['/bin/sh', '-c', 'test -f /etc/machine-id && echo present || echo absent'],
  ['/bin/grep', '-rn', '--include=*.conf', '-e', 'listen', '/etc/nonexistent.d'],
  ['/bin/sed', '-e', 's/^[[:space:]]*//', '-e', '/^#/d', '/etc/hosts'],
  ['/usr/bin/find', '/var/empty', '-maxdepth', '2', '-type', 'f', '-mtime', '+7', '-name', '*.log'],
  ['/usr/bin/env', 'LANG=C', 'TZ=UTC', '/bin/date', '+%Y-%m-%dT%H:%M:%S'],
  ['/bin/date', '--utc', '--rfc-3339=seconds'],
  ['/usr/bin/stat', '--format=%n %s %Y', '/etc/passwd', '/etc/group'],
  ['/usr/bin/sort', '-u', '-k', '2,2', '/etc/services'],
  ['/bin/mkdir', '-p', '/tmp'],
  ['/usr/bin/true'],
  ['/usr/bin/id', '-u', 'root'],
  ['/usr/bin/head', '-c', '64', '/dev/null'],
  [
    '/usr/bin/true',
    '-xc',
    '-O2',
    '-g',
    '-Wall',
    '-Wextra',
    '-Iinclude',
    '-Isrc',
    '-DNDEBUG',
    '-MMD',
    '-MF',
    'build/src/exec_ring.o.d',
    '-c',
    '-o',
    'build/src/exec_ring.o',
    'src/exec_ring.c',
  ],
  [
    '/usr/bin/true',
    '--config=/etc/service/service.yaml',
    '--listen=0.0.0.0:8080',
    '--data-dir=/var/lib/service',
    '--log-level=info',
  ],
  ['/bin/sh', '-c', 'exec /usr/bin/true --health-check --timeout 5 --url http://127.0.0.1:8080/healthz'],
  ['/bin/uname', '-a'],
];

/** Executes the typical commands, some of them twice, and keeps their records. Needs root. */
export async function recordTypical(): Promise<Recording> {
  const pinPath = newPinPath();
  using _ = atEnd(() => removePins(pinPath));
  using reader = new CaptureReader(pinPath);
  const pids = new Set<number>();
  for (let round = 0; round < 3; round += 1) {
    for (const [command, ...args] of typical) {
      const { pid } = spawnSync(command as string, args, {
        stdio: 'ignore',
        timeout: 10_000,
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      });
      if (pid !== 0) pids.add(pid);
    }
    reader.read();
  }
  const records = reader.records
    .filter(({ event }) => pids.has(event.pid) || pids.has(event.ppid))
    .map(({ bytes }) => bytes);
  const { attachId } = reader.status;
  const recording: Recording = {
    layout: reader.capture.exec.layout(),
    clockOffsets: reader.capture.clockOffsets(),
    attachId,
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    records,
  };
  reader.capture.detach();
  return recording;
}

export function saveRecording(recording: Recording, path: string): void {
  writeFileSync(
    path,
    JSON.stringify({ ...recording, records: recording.records.map((bytes) => bytes.toString('base64')) }),
  );
}

export function loadRecording(path: string): Recording {
  const saved = JSON.parse(readFileSync(path, 'utf8')) as Omit<Recording, 'records'> & { records: string[] };
  return { ...saved, records: saved.records.map((text) => Buffer.from(text, 'base64')) };
}
