import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { hold } from '../support/held.ts';
import { OneCapture } from '../support/one-capture.ts';

/** The ancestors of a process, against what /proc says of each while all are held still. */

const capture = new OneCapture();

/** Pid, name and start of a process and of those above it, the nearest first, as /proc has them. */
function lineageOf(pid: number) {
  const lineage: { pid: number; comm: string; startTicks: number }[] = [];
  for (let at = pid; at !== 0; ) {
    const text = readFileSync(`/proc/${at}/stat`, 'latin1');
    const rest = text.slice(text.lastIndexOf(')') + 2).split(' ');
    lineage.push({
      pid: at,
      comm: text.slice(text.indexOf('(') + 1, text.lastIndexOf(')')),
      startTicks: Number(rest[22 - 3]),
    });
    at = Number(rest[4 - 3]);
  }
  return lineage;
}

/** Start of a process, in the hundredths of a second since boot that /proc prints, out of its process_id. */
function startTicksOf(processId: string): number {
  return Number(BigInt(`0x${processId.slice(16, 32)}`) / 10_000_000n);
}

test.for([1, 3, 12])('%i shells deep', async (levels) => {
  const path = capture.copy('hold');
  // Each waits for the one below: the colon keeps a shell from handing itself over to its last command.
  const script = 'n=$1; shift; if [ "$n" -gt 0 ]; then sh -c "$0" "$0" "$((n - 1))" "$@"; :; else "$@"; :; fi';
  await using held = await hold(capture.reader, ['sh', '-c', script, script, String(levels - 1), path]);
  const expected = lineageOf(held.event.ppid).slice(0, 8);
  const { ancestors } = held.event;
  expect(ancestors?.map(({ pid, comm }) => ({ pid, comm }))).toEqual(expected.map(({ pid, comm }) => ({ pid, comm })));
  expect(ancestors?.map(({ process_id }) => startTicksOf(process_id))).toEqual(
    expected.map(({ startTicks }) => startTicks),
  );
  if (levels >= 8) expect(ancestors).toHaveLength(8);
  expect(ancestors?.slice(0, Math.min(levels, 8)).every(({ comm }) => comm === 'sh')).toBe(true);
  // The nearest one is the parent, and those that were captured are known by the same identities.
  expect(ancestors?.[0]).toMatchObject({
    pid: held.event.ppid,
    comm: held.event.parent_comm,
    process_id: held.event.parent_process_id,
    exec_id: held.event.parent_exec_id,
  });
  for (const ancestor of ancestors?.slice(0, Math.min(levels, 8)) ?? []) {
    const exec = capture.reader.events.find(({ exec_id }) => exec_id === ancestor.exec_id);
    expect(exec).toMatchObject({
      pid: ancestor.pid,
      comm: ancestor.comm,
      process_id: ancestor.process_id,
      start_time: ancestor.start_time,
    });
  }
});

test('the child of a process that has ended has the one that took it in above it', async () => {
  const path = capture.copy('hold');
  await using held = await hold(capture.reader, ['setsid', '--fork', 'sh', '-c', 'sleep 0.2; exec "$0" "$@"', path]);
  const expected = lineageOf(held.event.ppid).slice(0, 8);
  expect(held.event.ancestors?.map(({ pid }) => pid)).toEqual(expected.map(({ pid }) => pid));
});
