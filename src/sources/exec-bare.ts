import type { ExecEvent } from '../schemas/exec-event.ts';
import type { KernelRecord } from './kernel-record.ts';
import type { RecordFields } from './record-table.ts';

/** What a bare record tells: fields that are made of its bytes, of the capture, or of the fact that there was an exec. */
const known: ReadonlySet<keyof ExecEvent> = new Set<keyof ExecEvent>([
  'host_id',
  'host_name',
  'boot_id',
  'attach_id',
  'epoch',
  'seq',
  'event_time',
  'boot_micros',
  'process_id',
  'parent_process_id',
  'exec_id',
  'parent_exec_id',
  'pid',
  'tid',
  'ppid',
  'start_time',
  'comm',
  'uid',
  'user_name',
  'cgroup_id',
  'exec_result',
]);

/**
 * The event of a bare record: the other fields are null, `filename` is empty, and all of them are named in `degraded`.
 * @param missesUser the name of the user could not be found out
 */
export function bareEventOf(
  fields: RecordFields<ExecEvent>,
  missesUser: (record: KernelRecord) => boolean,
): (record: KernelRecord) => ExecEvent {
  const names = Object.keys(fields) as readonly (keyof ExecEvent)[];
  const unknown = names.filter((name) => !known.has(name) && name !== 'degraded');
  return (record) => {
    const event: Record<string, unknown> = {};
    for (const name of names) event[name] = known.has(name) ? fields[name].read(record) : null;
    event.filename = '';
    event.degraded = missesUser(record) ? [...unknown, 'user_name'] : [...unknown];
    return event as unknown as ExecEvent;
  };
}
