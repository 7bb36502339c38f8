import type { ExecEvent } from '../schemas/exec-event.ts';

/** What anyone who may open the page sees of an exec: what `/proc/PID/status` tells every user of the host, and counts. */
const open = [
  'event_time',
  'boot_id',
  'seq',
  'pid',
  'ppid',
  'comm',
  'parent_comm',
  'uid',
  'user_name',
  'container_id',
  'k8s_namespace',
  'k8s_pod_name',
  'exec_result',
] as const satisfies readonly (keyof ExecEvent)[];

/** What comes from the command line, or from links that the kernel shows to the process's user alone: with the token. */
const guarded = [
  'filename',
  'exe',
  'interpreter',
  'cwd',
  'args',
  'args_count',
  'args_truncated',
  'parent_exe',
  'parent_args',
] as const satisfies readonly (keyof ExecEvent)[];

export type ExecView = Pick<ExecEvent, (typeof open)[number]> & Partial<Pick<ExecEvent, (typeof guarded)[number]>>;

export function viewOf(event: ExecEvent, withArgv: boolean): ExecView {
  const names = withArgv ? [...open, ...guarded] : open;
  return Object.fromEntries(names.map((name) => [name, event[name]])) as unknown as ExecView;
}
