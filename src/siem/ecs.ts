import { constant, copy, made, part, type Row } from './mapping.ts';
import { documentIds, type SiemRecords, type SiemStream } from './records.ts';
import { nearestIsoTime } from './values.ts';

/** Version of the schema that documents follow (github.com/elastic/ecs, tag v9.4.0). */
export const ecsVersion = '9.4.0';

interface EcsEvent {
  readonly category: string;
  readonly type: string;
  readonly action: string;
}

/** What every document has. `time` names the field that is its time. */
export function ecsEvent<Stream extends SiemStream>(
  stream: Stream,
  { category, type, action }: EcsEvent,
  time: keyof SiemRecords[Stream] & string,
): Row<SiemRecords[Stream]>[] {
  return [
    // A clock that was set to the year 12000 must not keep a document out.
    part('@timestamp', [time], 'UTC, as in `2026-11-29T16:20:08.123Z`', (record) =>
      nearestIsoTime(record[time] as number),
    ),
    constant('ecs.version', ecsVersion),
    constant('event.kind', 'event'),
    constant('event.category', [category]),
    constant('event.type', [type]),
    constant('event.action', action),
    constant('event.module', 'bpf2kafka'),
    constant('event.dataset', `bpf2kafka.${stream}`),
    made('event.id', [], 'the id of the document', documentIds[stream]),
    copy('host.id', 'host_id'),
    copy('host.name', 'host_name'),
    copy('host.hostname', 'host_name'),
    copy('host.boot.id', 'boot_id'),
    constant('host.os.type', 'linux'),
    made('related.hosts', ['host_name'], 'in a list', ({ host_name }) =>
      host_name === null ? undefined : [host_name],
    ),
  ];
}
