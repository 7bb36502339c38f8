import type { ExecEvent } from '../schemas/exec-event.ts';
import type { KernelRecord } from './kernel-record.ts';

/** What there would be of the new program: an exec that failed has none, so nothing of it is degraded. */
const ofTheProgram = {
  exe: null,
  exe_truncated: null,
  interpreter: null,
  setuid_exec: null,
  setgid_exec: null,
  env: null,
  file_inode: null,
  file_device: null,
  file_mode: null,
  file_uid: null,
  file_gid: null,
  file_nlink: null,
  file_mtime: null,
  file_ctime: null,
  file_memfd: null,
  file_deleted: null,
  file_overlay_upper: null,
} as const satisfies Partial<ExecEvent>;

/**
 * The event of an exec that failed. Its arguments were read one by one from the memory of the program that called, so their
 * size is known only when each of them was read.
 * @param known of the arguments: count and bytes, the count alone, or neither, since the list was not read to its end
 */
export function failedEventOf(
  eventOf: (record: KernelRecord) => ExecEvent,
  known: (record: KernelRecord) => 'all' | 'count' | 'nothing',
): (record: KernelRecord) => ExecEvent {
  return (record) => {
    const event = { ...eventOf(record), ...ofTheProgram };
    switch (known(record)) {
      case 'all':
        return event;
      case 'count':
        return {
          ...event,
          args_bytes: null,
          args_truncated: (event.args?.length ?? 0) < (event.args_count ?? 0),
          degraded: [...event.degraded, 'args_bytes'],
        };
      case 'nothing':
        return {
          ...event,
          args_count: null,
          args_bytes: null,
          args_truncated: true,
          degraded: [...event.degraded, 'args_count', 'args_bytes'],
        };
    }
  };
}
