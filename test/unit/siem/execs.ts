import type { ExecEvent } from '../../../src/schemas/exec-event.ts';
import { fullEvent } from '../schemas/events.ts';

/** An ordinary exec on the host: no container, no script, no terminal gained, nothing unread. */
export const plainExec: ExecEvent = {
  ...fullEvent,
  interpreter: null,
  args: ['curl', '-sS', 'https://example.org/a b'],
  args_count: 3,
  args_bytes: 33,
  args_captured_bytes: 33,
  args_raw: null,
  env: null,
  uid: 1000,
  euid: 1000,
  suid: 1000,
  user_name: 'alice',
  session_id: 3,
  cap_effective: 0,
  cap_permitted: 0,
  setuid_exec: false,
  file_mode: 0o100755,
  file_overlay_upper: false,
  container_id: null,
  container_runtime: null,
  pod_uid: null,
  k8s_namespace: null,
  k8s_pod_name: null,
  k8s_container_name: null,
  degraded: [],
};

/** Every field that can be null is, and named in `degraded`. */
function unread(event: ExecEvent): ExecEvent {
  const { host_id, boot_id, attach_id, epoch, seq, event_time, boot_micros, process_id, exec_id, pid, ppid } = event;
  const { start_time, comm, filename } = event;
  const known = { host_id, boot_id, attach_id, epoch, seq, event_time, boot_micros, process_id, exec_id, pid, ppid };
  const names = Object.keys(event).filter(
    (name) => !(name in known) && !['start_time', 'comm', 'filename'].includes(name),
  );
  const nulls = Object.fromEntries(names.map((name) => [name, null])) as unknown as ExecEvent;
  return { ...nulls, ...known, start_time, comm, filename, degraded: names.filter((name) => name !== 'degraded') };
}

/** Ten kinds of exec. */
export const execs = {
  plain: plainExec,
  script: {
    ...plainExec,
    comm: 'deploy.py',
    filename: './deploy.py',
    interpreter: '/usr/bin/python3',
    exe: '/usr/bin/python3.11',
    args: ['/usr/bin/python3', './deploy.py', '--all'],
  },
  memfd: {
    ...plainExec,
    comm: '3',
    filename: '/proc/self/fd/3',
    exe: '/memfd:payload',
    args: ['kworker'],
    file_memfd: true,
    file_deleted: true,
    file_nlink: 0,
  },
  deleted: { ...plainExec, exe: '/tmp/.x/miner', filename: '/tmp/.x/miner', file_deleted: true, file_nlink: 0 },
  setuid: {
    ...plainExec,
    comm: 'su',
    filename: '/usr/bin/su',
    exe: '/usr/bin/su',
    args: ['su', '-'],
    euid: 0,
    suid: 0,
    cap_effective: 2 ** 41 - 1,
    cap_permitted: 2 ** 41 - 1,
    setuid_exec: true,
    file_mode: 0o104755,
  },
  pod: {
    ...plainExec,
    container_id: fullEvent.container_id,
    container_runtime: 'containerd',
    pod_uid: fullEvent.pod_uid,
    k8s_namespace: 'shop',
    k8s_pod_name: 'cart-0',
    k8s_container_name: 'cart',
    file_overlay_upper: true,
  },
  notUtf8: { ...plainExec, args: ['printf', '\\xff\\xfe'], args_raw: Buffer.from('printf\0\xff\xfe\0', 'latin1') },
  truncated: {
    ...plainExec,
    args: ['tar', 'cf', '-', ...Array.from({ length: 800 }, (_, file) => `/srv/files/with/a/long/path/${file}`)],
    args_count: 120_000,
    args_bytes: 4_800_000,
    args_captured_bytes: 32_768,
    args_truncated: true,
  },
  degraded: unread(plainExec),
  redacted: {
    ...plainExec,
    comm: 'mysql',
    args: ['mysql', '-p***', '--host=db'],
    args_redacted: 1,
    parent_args: ['sh', '-c', 'mysql -p*** --host=db'],
  },
} as const satisfies Record<string, ExecEvent>;
