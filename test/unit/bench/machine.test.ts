import { describe, expect, it } from 'vitest';
import { FrameReader } from '../../../bench/harness/frames.ts';
import { busyNote, parseMachineTicks, parseProcessTicks } from '../../../bench/harness/machine.ts';
import { recordsPerSecond } from '../../../bench/pipeline/producer-performance.ts';

describe('the busy check', () => {
  it('counts everything but idle and waiting for disks, and stolen time apart', () => {
    const stat = 'cpu  100 20 30 9999 8888 5 6 7 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n';
    expect(parseMachineTicks(stat)).toEqual({ busy: 161, steal: 7 });
  });

  it('reads the ticks of a process whose name holds blanks and parentheses', () => {
    const stat = '42 (a) S (b) S 7 42 42 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 99 1 1';
    expect(parseProcessTicks(stat)).toEqual({ parent: 7, own: 30, ticks: 100 });
  });

  it('speaks up from a tenth of a core on', () => {
    expect(busyNote({ seconds: 10, others: 0.9, steal: 0 })).toBeUndefined();
    expect(busyNote({ seconds: 10, others: 12, steal: 0 })).toContain('others used 1.20 of a core');
    expect(busyNote({ seconds: 10, others: 0, steal: 5 })).toContain('the hypervisor took 0.50 of a core');
  });
});

describe('what others print', () => {
  it('values of kcat come out whole, wherever the pipe has cut them', () => {
    const bytes = Buffer.from('3\na\nb\n0\n\n5\n12\n34\n');
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const reader = new FrameReader();
      const values = [...reader.push(bytes.subarray(0, cut)), ...reader.push(bytes.subarray(cut))];
      expect(values.map(String)).toEqual(['a\nb', '', '12\n34']);
    }
  });

  it('the rate of ProducerPerformance is that past its warm-up', () => {
    const output =
      '500000 records sent, 60000.5 records/sec (1 MB/sec).\n400000 steady state records sent, 75308.1 records/sec (38.3 MB/sec), 1 ms avg latency.\n';
    expect(recordsPerSecond(output)).toBe(75_308.1);
    expect(() => recordsPerSecond('Exception')).toThrow('printed no summary');
  });
});
