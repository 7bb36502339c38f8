import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ExecEvent } from '../../../src/schemas/exec-event.ts';
import { siemDocument, siemId, siemMappings, siemStreamsOf } from '../../../src/siem/document.ts';
import { type SiemFormat, siemFormats } from '../../../src/siem/formats.ts';
import type { SiemRecords, SiemStream } from '../../../src/siem/records.ts';
import { faultsOf } from '../../support/siem/validate.ts';
import { anyEvent, fullEvent } from '../schemas/events.ts';
import { fullExit } from '../schemas/exits.ts';
import { classCount, flowCount } from '../schemas/packet-counts.ts';
import { fullCount } from '../schemas/packets.ts';
import { anyCount, anyExit } from './arbitraries.ts';
import { execs, plainExec } from './execs.ts';

// biome-ignore lint/suspicious/noExplicitAny: what a consumer has, parsed JSON
const jsonOf = (format: SiemFormat, stream: SiemStream, record: SiemRecords[SiemStream]): any =>
  JSON.parse(JSON.stringify(siemDocument(format, stream, record)));

const full: SiemRecords = { exec: fullEvent, exit: fullExit, packets: fullCount };
const combinations = siemFormats.flatMap((format) => siemStreamsOf(format).map((stream) => [format, stream] as const));

test('formats have documents of these streams', () => {
  expect(combinations.map((each) => each.join(' '))).toEqual([
    ...['ocsf exec', 'ocsf exit', 'ocsf packets'],
    ...['ecs exec', 'ecs exit', 'ecs packets', 'sigma exec'],
  ]);
  expect(() => siemDocument('sigma', 'packets', flowCount)).toThrow('sigma has no documents of packets');
});

describe.each(siemFormats)('%s: ten kinds of exec follow the published schema', (format) => {
  test.each(Object.entries(execs))('%s', (_name, event) => {
    const document = jsonOf(format, 'exec', event);
    expect(faultsOf[format](document)).toEqual([]);
  });
});

describe.each(combinations)('%s documents of %s', (format, stream) => {
  test('with every field filled follow the published schema', () => {
    const document = jsonOf(format, stream, full[stream]);
    expect(faultsOf[format](document)).toEqual([]);
    expect(document).toMatchSnapshot();
  });

  test('have each field once', () => {
    const names = (siemMappings[format][stream] as { rows: readonly { to: string }[] }).rows.map(({ to }) => to);
    expect(names).toEqual([...new Set(names)]);
  });

  test('of whatever record follow the published schema, and are JSON', () => {
    const any = { exec: anyEvent, exit: anyExit, packets: anyCount }[stream] as fc.Arbitrary<SiemRecords[SiemStream]>;
    fc.assert(
      fc.property(any, (record) => {
        const document = siemDocument(format, stream, record);
        expect(faultsOf[format](document)).toEqual([]);
        expect(JSON.parse(JSON.stringify(document))).toEqual(document);
      }),
      { numRuns: 150 },
    );
  });
});

describe.each(combinations.filter(([format]) => format !== 'sigma'))(
  '%s documents of %s say everything',
  (format, stream) => {
    /** Another value of the same type; undefined when there is none that could make a difference. */
    function other(value: unknown): unknown {
      if (typeof value === 'boolean') return !value;
      if (typeof value === 'number') return value > 1 ? value - 1 : value + 1;
      if (typeof value === 'string') return `${value}x`;
      if (Buffer.isBuffer(value)) return Buffer.from('other');
      if (Array.isArray(value)) return [...value, ...(value.length > 0 ? [value[0]] : ['another'])];
      return { ...(value as object), another: 'x' };
    }

    test.each(Object.keys(full[stream]))('%s', (name) => {
      const record = full[stream] as unknown as Record<string, unknown>;
      const changed = { ...record, [name]: other(record[name]) } as unknown as SiemRecords[SiemStream];
      expect(jsonOf(format, stream, changed)).not.toEqual(jsonOf(format, stream, full[stream]));
    });
  },
);

test('a field that the mapping does not know yet is kept', () => {
  const newer = { ...plainExec, added_later: 7 };
  expect(jsonOf('ocsf', 'exec', newer).unmapped.added_later).toBe(7);
  expect(jsonOf('ecs', 'exec', newer).bpf2kafka.added_later).toBe(7);
});

describe('the id of a document', () => {
  test('is boot_id:stream:seq, in the document too', () => {
    const id = `${fullEvent.boot_id}:exec:81240001`;
    expect(siemId('exec', fullEvent)).toBe(id);
    expect(siemId('exit', fullExit)).toBe(`${fullEvent.boot_id}:exit:81240001`);
    expect(jsonOf('ocsf', 'exec', fullEvent).metadata.uid).toBe(id);
    expect(jsonOf('ecs', 'exec', fullEvent).event.id).toBe(id);
    expect(jsonOf('sigma', 'exec', fullEvent).EventRecordID).toBe(id);
  });

  test('of a packet count has its epoch, interface and key', () => {
    const start = `${flowCount.boot_id}:packets:81234600:2:`;
    expect(siemId('packets', flowCount)).toBe(`${start}ipv4/6/198.51.100.7/51022/192.0.2.1/443///`);
    expect(siemId('packets', classCount('overflow'))).toBe(`${start}overflow`);
  });

  test('is the same for a repeat, and another for whatever differs in identity', () => {
    const { packets, bytes, interval_start, interval_end, ...identity } = fullCount;
    const repeat = { ...fullCount, host_name: 'renamed', packets: packets + 1, bytes, interval_start, interval_end };
    expect(siemId('packets', repeat)).toBe(siemId('packets', fullCount));
    const parts = [
      'boot_id',
      'epoch',
      'interface_index',
      'address_family',
      'protocol_number',
      'source_address',
    ] as const;
    const rest = [
      'destination_address',
      'source_port',
      'destination_port',
      'icmp_type',
      'icmp_code',
      'vlan_id',
    ] as const;
    const ids = [...parts, ...rest].map((name) =>
      siemId('packets', {
        ...fullCount,
        [name]: typeof identity[name] === 'number' ? Number(identity[name]) + 1 : 'x',
      }),
    );
    expect(new Set([siemId('packets', fullCount), ...ids]).size).toBe(parts.length + rest.length + 1);
  });
});

describe('what is easily got wrong', () => {
  const ocsf = (changed: Partial<ExecEvent>) => jsonOf('ocsf', 'exec', { ...plainExec, ...changed });
  const ecs = (changed: Partial<ExecEvent>) => jsonOf('ecs', 'exec', { ...plainExec, ...changed });
  const sigma = (changed: Partial<ExecEvent>) => jsonOf('sigma', 'exec', { ...plainExec, ...changed });

  test('null is left out, never 0 or false', () => {
    expect(ocsf({ file_deleted: null, uid: null, user_name: null }).process.file).not.toHaveProperty('is_deleted');
    expect(ocsf({ uid: null, user_name: null }).process).not.toHaveProperty('user');
    expect(ecs({ uid: null, tty: null, degraded: ['uid', 'tty'] })).not.toHaveProperty('user.id');
    expect(ecs({ tty: null, degraded: ['tty'] }).process).not.toHaveProperty('interactive');
    expect(ecs({ tty: null }).process.interactive).toBe(false);
    expect(sigma({ args: null })).not.toHaveProperty('CommandLine');
  });

  test('the names of what could not be read are kept', () => {
    expect(ocsf({ cwd: null, degraded: ['cwd'] }).unmapped.degraded).toEqual(['cwd']);
    expect(ecs({ cwd: null, degraded: ['cwd'] }).bpf2kafka.degraded).toEqual(['cwd']);
  });

  test('a failed exec is a failure', () => {
    expect(ocsf({ exec_result: -13 })).toMatchObject({ status_id: 2, status: 'Failure', status_code: '-13' });
    expect(ecs({ exec_result: -13 })).toMatchObject({ event: { outcome: 'failure' }, bpf2kafka: { exec_result: -13 } });
  });

  test('effective, real and saved user are apart', () => {
    const { process, user } = jsonOf('ecs', 'exec', execs.setuid);
    expect(process).toMatchObject({
      user: { id: '0' },
      real_user: { id: '1000', name: 'alice' },
      saved_user: { id: '0' },
    });
    expect(process.user).not.toHaveProperty('name');
    expect(user).toEqual({ id: '1000', name: 'alice', effective: { id: '0' } });
    expect(jsonOf('ocsf', 'exec', execs.setuid)).toMatchObject({
      actor: { user: { uid: '1000' } },
      process: { user: { uid: '1000', name: 'alice' }, euid: 0, auid: 1000 },
    });
  });

  test('capabilities have their names, above 32 bits too, a new one its number', () => {
    const mask = 1 + 2 ** 21 + 2 ** 39 + 2 ** 45;
    expect(ecs({ cap_effective: mask }).process.thread.capabilities.effective).toEqual([
      ...['CAP_CHOWN', 'CAP_SYS_ADMIN', 'CAP_BPF', '45'],
    ]);
    expect(ecs({ cap_effective: 0 }).process.thread.capabilities.effective).toEqual([]);
  });

  test('bytes that are not UTF-8 are kept, base64', () => {
    const raw = Buffer.from('printf\0\xff\xfe\0', 'latin1').toString('base64');
    expect(jsonOf('ocsf', 'exec', execs.notUtf8).unmapped.args_raw).toBe(raw);
    expect(jsonOf('ecs', 'exec', execs.notUtf8).bpf2kafka.args_raw).toBe(raw);
  });

  test('cut arguments say so, with the number that there were', () => {
    expect(jsonOf('ocsf', 'exec', execs.truncated)).toMatchObject({
      metadata: { is_truncated: true },
      unmapped: { args_count: 120_000, args_bytes: 4_800_000 },
    });
    expect(jsonOf('ecs', 'exec', execs.truncated)).toMatchObject({
      process: { args_count: 803 },
      bpf2kafka: { args_count: 120_000, args_truncated: true },
    });
  });

  test('a user id above 2^31 has no place in an integer of OCSF, and is kept', () => {
    const document = ocsf({ euid: 4_294_967_294 });
    expect(document.process).not.toHaveProperty('euid');
    expect(document.unmapped.euid).toBe(4_294_967_294);
  });

  test('the hash of a static pod is no UUID, and is kept', () => {
    const document = jsonOf('ocsf', 'exec', { ...execs.pod, pod_uid: 'ab'.repeat(16) });
    expect(document.process.container).not.toHaveProperty('pod_uuid');
    expect(document.unmapped.pod_uid).toBe('ab'.repeat(16));
  });

  test('a container that has neither id nor name is none, and what is known of it is kept', () => {
    const document = ocsf({ pod_uid: fullEvent.pod_uid, container_runtime: 'docker' });
    expect(document.process).not.toHaveProperty('container');
    expect(document.unmapped).toMatchObject({ pod_uid: fullEvent.pod_uid, container_runtime: 'docker' });
  });

  test('terminals have the numbers of their devices', () => {
    const device = (tty: string) => ecs({ tty }).process.tty?.char_device;
    expect(['pts0', 'pts300', 'tty1', 'ttyS2'].map(device)).toEqual([
      { major: 136, minor: 0 },
      { major: 136, minor: 300 },
      { major: 4, minor: 1 },
      { major: 4, minor: 66 },
    ]);
    expect(device('hvc0')).toBeUndefined();
    expect(ecs({ tty: 'hvc0' }).bpf2kafka.tty).toBe('hvc0');
  });

  test('the image of a script is its interpreter; one that is unknown is not guessed', () => {
    expect(jsonOf('sigma', 'exec', execs.script).Image).toBe('/usr/bin/python3.11');
    expect(sigma({ exe: null, filename: '/usr/bin/id' }).Image).toBe('/usr/bin/id');
    expect(sigma({ exe: null, filename: './id' })).not.toHaveProperty('Image');
    expect(sigma({ exe: null, filename: '/srv/run.sh', interpreter: '/bin/sh' })).not.toHaveProperty('Image');
  });

  test('a time that no indexer would read does not keep the document out', () => {
    const document = ecs({ event_time: Date.UTC(12_000, 0), start_time: Date.UTC(12_000, 0) });
    expect(document['@timestamp']).toBe('9999-12-31T23:59:59.999Z');
    expect(document.process).not.toHaveProperty('start');
    expect(document.bpf2kafka).toMatchObject({ event_time: Date.UTC(12_000, 0), start_time: Date.UTC(12_000, 0) });
  });

  test('packets without a key have the interface for an endpoint', () => {
    const document = jsonOf('ocsf', 'packets', classCount('non_ip'));
    expect(document).toMatchObject({ dst_endpoint: { interface_name: 'eth0' }, unmapped: { traffic_class: 'non_ip' } });
    expect(document).not.toHaveProperty('src_endpoint');
  });

  test('packets of the loopback interface are local; otherwise nobody knows who began', () => {
    const direction = (interface_kind: string) =>
      jsonOf('ocsf', 'packets', { ...flowCount, interface_kind }).connection_info;
    expect(direction('loopback')).toMatchObject({ direction_id: 4, direction: 'Local' });
    expect(direction('physical')).toMatchObject({ direction_id: 0, direction: 'Unknown' });
  });
});
