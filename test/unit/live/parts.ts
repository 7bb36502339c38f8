import type { Health } from '../../../src/http/health.ts';
import type { Figures } from '../../../src/metrics/figures.ts';

/** A sidecar whose broker is away, and which has lost 3 execs. */
export const figures: Figures = {
  capturing: true,
  epoch: 1_000_007,
  streams: [
    {
      stream: 'exec',
      at: 1_764_000_000_500,
      seen: 100,
      published: 80,
      pending: 5,
      filtered: { 'exe:/usr/bin/cc1': 12 },
      lost: { ring_full: 3, skipped: 0 },
      unexplained: 0,
      unobservedMicros: 2_500_000,
    },
  ],
  rings: [{ ring: 'exec', capacityBytes: 4_096, usedBytes: 512, highWaterBytes: 1_024 }],
  spool: { state: 'holding', records: 21, bytes: 9_999, capacityBytes: 65_536 },
  packets: { interfaces: ['eth0'], flows: 7, flowCapacity: 1_024, overflow: [] },
  deliveries: [
    { topic: 'p.exec-events', state: 'retrying', records: 80, bytes: 8_000, retries: 4, producers: 2, deadLetters: 1 },
  ],
};

export const health: Health = {
  capturing: true,
  stopping: false,
  deliveries: [{ topic: 'p.exec-events', state: 'retrying', since: 7, reason: 'connect ECONNREFUSED' }],
  spool: { state: 'holding', directory: '/state/spool', batches: 1, records: 21, bytes: 9_999 },
};
