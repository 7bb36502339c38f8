import { expect, test } from 'vitest';
import { type DeliveryHealth, type Health, readinessOf } from '../../../src/http/health.ts';

const now = Date.parse('2026-11-24T22:00:00Z');

function exec(state: DeliveryHealth['state'], millisAgo: number, reason?: string): DeliveryHealth {
  return { topic: 'exec-events', state, since: now - millisAgo, reason };
}
const ledger: DeliveryHealth = { topic: 'bpf2kafka-ledger', state: 'idle', since: now };

const empty = { state: 'empty', directory: '/state/spool', batches: 0, records: 0, bytes: 0 } as const;

function health(changes: Partial<Health>): Health {
  return { capturing: true, stopping: false, deliveries: [exec('idle', 60_000), ledger], spool: empty, ...changes };
}

test('who captures and has the acknowledgements is ready', () => {
  expect(readinessOf(health({}), now)).toEqual({ ready: true, capturing: true, reasons: [] });
});

test.each(['idle', 'throttled'] as const)('%s for long is no outage', (state) => {
  expect(readinessOf(health({ deliveries: [exec(state, 3_600_000, 'quota')] }), now).ready).toBe(true);
});

test('a delivery that retries says since when and why, and that nothing is lost', () => {
  const deliveries = [exec('retrying', 5_000, 'connect ECONNREFUSED 192.0.2.1:9092'), ledger];
  expect(readinessOf(health({ deliveries }), now)).toEqual({
    ready: false,
    capturing: true,
    reasons: [
      'exec-events: no acknowledgement since 2026-11-24T21:59:55.000Z; the kernel buffers; connect ECONNREFUSED 192.0.2.1:9092',
    ],
  });
});

test('every topic that is not acknowledged has its reason', () => {
  const deliveries = [exec('retrying', 0), { ...ledger, state: 'retrying' as const }];
  expect(readinessOf(health({ deliveries }), now).reasons).toEqual([
    expect.stringContaining('exec-events: '),
    expect.stringContaining('bpf2kafka-ledger: '),
  ]);
});

test('a request that hangs is an outage before its time is up', () => {
  expect(readinessOf(health({ deliveries: [exec('sending', 5_000)] }), now).ready).toBe(true);
  expect(readinessOf(health({ deliveries: [exec('sending', 5_001)] }), now).ready).toBe(false);
});

test('programs that are no longer attached, and an end that has begun, are not ready', () => {
  expect(readinessOf(health({ capturing: false }), now)).toEqual({
    ready: false,
    capturing: false,
    reasons: ['nothing is captured: the programs are no longer attached'],
  });
  expect(readinessOf(health({ stopping: true }), now).reasons).toEqual(['the sidecar is stopping']);
});

test('what waits on disk is told, and is no reason by itself', () => {
  const spool = { ...empty, state: 'holding', batches: 2, records: 700, bytes: 300_000 } as const;
  expect(readinessOf(health({ spool }), now)).toEqual({ ready: true, capturing: true, reasons: [], spool });
});

test.each([
  ['full', undefined, '/state/spool: the spool is full; the kernel buffers'],
  ['no_space', 'ENOSPC', '/state/spool: no_space: the disk of the spool is full; the kernel buffers; ENOSPC'],
  ['failed', 'EIO', '/state/spool: the spool cannot be written; the kernel buffers; EIO'],
] as const)('a spool that takes nothing more is a reason: %s', (state, reason, told) => {
  const spool = { ...empty, state, records: 1, ...(reason === undefined ? {} : { reason }) };
  expect(readinessOf(health({ spool }), now)).toMatchObject({ ready: false, reasons: [told] });
});
