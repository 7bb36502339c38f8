import { constant, copy, made, type Row } from './mapping.ts';
import { documentIds, type SiemRecords, type SiemStream } from './records.ts';

/** Version of the schema that documents follow (github.com/ocsf/ocsf-schema, tag 1.8.0). */
export const ocsfVersion = '1.8.0';

interface OcsfClass {
  readonly category: readonly [uid: number, name: string];
  readonly class: readonly [uid: number, name: string];
  readonly activity: readonly [id: number, name: string];
}

/** What every event has: its class, each id with its caption, and where it comes from. */
export function ocsfEvent<Stream extends SiemStream>(
  stream: Stream,
  { category, class: [classUid, className], activity }: OcsfClass,
  { topic, profiles }: { readonly topic: string; readonly profiles: readonly string[] },
): Row<SiemRecords[Stream]>[] {
  return [
    constant('category_uid', category[0]),
    constant('category_name', category[1]),
    constant('class_uid', classUid),
    constant('class_name', className),
    constant('activity_id', activity[0]),
    constant('activity_name', activity[1]),
    constant('type_uid', classUid * 100 + activity[0]),
    constant('type_name', `${className}: ${activity[1]}`),
    constant('severity_id', 1),
    constant('severity', 'Informational'),
    constant('metadata.version', ocsfVersion),
    constant('metadata.product.name', 'bpf2kafka'),
    constant('metadata.product.vendor_name', 'bpf2kafka'),
    constant('metadata.profiles', profiles),
    constant('metadata.log_name', topic),
    made('metadata.uid', [], 'the id of the document', documentIds[stream]),
  ];
}

export type HostRecord = SiemRecords[SiemStream];

export function ocsfDevice<Record extends HostRecord>(): Row<Record>[] {
  return [
    copy('device.uid', 'host_id'),
    copy('device.hostname', 'host_name'),
    copy('device.boot_uid', 'boot_id'),
    constant('device.type_id', 0),
    constant('device.type', 'Unknown'),
    constant('device.os.name', 'Linux'),
    constant('device.os.type_id', 200),
    constant('device.os.type', 'Linux'),
  ];
}
