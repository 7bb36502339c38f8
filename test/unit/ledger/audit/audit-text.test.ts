import { expect, test } from 'vitest';
import type { AuditReport, StreamReport } from '../../../../src/ledger/audit/audit-report.ts';
import { auditLines } from '../../../../src/ledger/audit/audit-text.ts';

const stream: StreamReport = {
  host_id: 'id-1',
  host_name: 'web-1',
  boot_id: 'b-1',
  attach_id: 7,
  stream_name: 'exec',
  attached_at: 0,
  until: 10_000,
  state: 'capturing',
  entries: 2,
  closed_entries: 2,
  closed_epoch: 8,
  seen: 10,
  published: 7,
  filtered: { exe: 1 },
  lost: { ring_full: 1, host_crash: 1 },
  pending: 0,
  unobserved_micros: 0,
  records: 9,
  distinct: 7,
  repeats: 2,
  dead_letters: 0,
  not_yet_accounted: 0,
  verdict: 'closed',
  problems: [],
  not_checkable: [],
  notes: [],
};

function reportOf(streams: StreamReport[], changed: Partial<AuditReport> = {}): AuditReport {
  const lost_by_reason = streams[0]?.lost ?? {};
  const lost = Object.values(lost_by_reason).reduce((total, count) => total + count, 0);
  return {
    closes: streams.every(({ verdict }) => verdict !== 'does not close'),
    empty: false,
    streams,
    problems: [],
    totals: {
      seen: 10,
      published: 7,
      filtered: 1,
      lost,
      lost_by_reason,
      records: 9,
      repeats: 2,
      dead_letters: 0,
      not_yet_accounted: 0,
      not_checkable: 0,
      unreadable: 0,
    },
    ...changed,
  };
}

test('a line for each account: whose it is, the balance, the records, the verdict', () => {
  expect(auditLines(reportOf([stream]))).toEqual([
    'web-1 (id-1) boot b-1 attach 7, 1970-01-01T00:00:00.000Z exec: seen 10 = published 7 + filtered 1 (exe 1) + lost 2 (host_crash up to 1, ring_full 1); records 9, distinct 7, repeats 2; closed',
    'lost: 2 (host_crash up to 1, ring_full 1); 1 accounts, seen 10, published 7, filtered 1, records 9, repeats 2',
  ]);
});

test('packets have their own sums, in the line of their account and in the result', () => {
  const { unreadable, ...totals } = reportOf([]).totals;
  const packets: StreamReport = {
    ...stream,
    stream_name: 'packets:eth0',
    seen: 320,
    published: 270,
    filtered: { exclude_ip: 20 },
    lost: { host_crash: 30 },
    packets: { published: 270, filtered: 20 },
  };
  const packet_totals = {
    ...totals,
    seen: 320,
    published: 270,
    filtered: 20,
    lost: 30,
    lost_by_reason: { host_crash: 30 },
    not_checkable: 5,
  };
  const lines = auditLines(reportOf([stream, packets], { packet_totals }));
  expect(lines.slice(1)).toEqual([
    'web-1 (id-1) boot b-1 attach 7, 1970-01-01T00:00:00.000Z packets:eth0: seen 320 = published 270 + filtered 20 (exclude_ip 20) + lost 30 (host_crash up to 30); records 9, distinct 7 of 270 packets and 20 filtered, repeats 2; closed',
    'lost: 2 (host_crash up to 1, ring_full 1), packets 30 (host_crash up to 30); 1 accounts, seen 10, published 7, filtered 1, records 9, repeats 2; packets: 1 accounts, seen 320, published 270, filtered 20, records 9, repeats 2',
  ]);
  const unchecked: StreamReport = {
    ...packets,
    verdict: 'not checkable',
    not_checkable: [{ reason: 'deleted', after_epoch: 6, epoch: 8, expected: 5, found: 0 }],
  };
  const [line, result] = auditLines(reportOf([unchecked], { packet_totals }));
  expect(line).toContain('not checkable: 5 of 5 packets in epochs 7 to 8 (deleted)');
  expect(result).toContain('(0 records and 5 packets of the ledger)');
});

test('the result is a claim only as far as it was checked', () => {
  const whole = { ...stream, lost: {} };
  const unchecked: StreamReport = {
    ...whole,
    verdict: 'not checkable',
    not_checkable: [{ reason: 'deleted', after_epoch: 6, epoch: 8, expected: 5, found: 2 }],
  };
  const result = (...streams: StreamReport[]) => auditLines(reportOf(streams)).at(-1);
  expect(result(whole)).toMatch(/^nothing lost: /);
  expect(result(whole, unchecked)).toMatch(/^nothing lost in what is checkable: /);
  expect(result(unchecked)).toMatch(/^not checkable: /);
  expect(auditLines(reportOf([unchecked]))[0]).toContain('not checkable: 3 of 5 records in epochs 7 to 8 (deleted)');
  expect(auditLines(reportOf([], { empty: true, closes: false }))).toEqual([
    expect.stringContaining('nothing to audit'),
  ]);
});

test('many problems are counted, not listed', () => {
  const problems = Array.from({ length: 9 }, (_, i) => ({ kind: 'missing' as const, text: `missing: ${i}` }));
  const lines = auditLines(reportOf([{ ...stream, verdict: 'does not close', problems }]));
  expect(lines[0]).toContain('does not close: missing: 0; missing: 1; ');
  expect(lines[0]).toContain('; and 4 more (--json has all)');
  expect(lines[1]).toBe('does not close: 1 of 1 accounts');
});

test('what a host or a ledger says cannot move the cursor or forge a line', () => {
  const hostile = 'x\n\u001b[2J\u202e';
  const lines = auditLines(
    reportOf(
      [
        {
          ...stream,
          host_id: hostile,
          host_name: hostile,
          boot_id: hostile,
          stream_name: hostile,
          lost: { [hostile]: 1 },
          filtered: { [hostile]: 1 },
          verdict: 'does not close',
          problems: [{ kind: 'missing', text: hostile }],
          notes: [hostile],
        },
      ],
      { problems: [{ kind: 'unaccounted', text: hostile }] },
    ),
  );
  expect(lines).toHaveLength(3);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
  for (const line of lines) expect(line).not.toMatch(/[\n\u001b\u202e]/);
});
