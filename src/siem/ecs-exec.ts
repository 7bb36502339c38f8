import type { ExecEvent } from '../schemas/exec-event.ts';
import { ecsEvent } from './ecs.ts';
import { asText, copy, type Mapping, made, part, type Row } from './mapping.ts';
import { baseName, capabilityNames, commandLine, directoryOf, isoTime, isRegular, terminalDevice } from './values.ts';

/** A start of a process. What has no home stands in `bpf2kafka`, as ECS asks of fields that are not its own. */
export const ecsExec: Mapping<ExecEvent> = {
  rest: 'bpf2kafka',
  rows: [
    ...ecsEvent('exec', { category: 'process', type: 'start', action: 'exec' }, 'event_time'),
    copy('event.sequence', 'seq'),
    part('event.outcome', ['exec_result'], 'success for 0, otherwise failure', ({ exec_result: result }) =>
      result === null ? undefined : result === 0 ? 'success' : 'failure',
    ),
    copy('process.pid', 'pid'),
    copy('process.vpid', 'ns_pid'),
    copy('process.entity_id', 'process_id'),
    made('process.start', ['start_time'], 'as `@timestamp`', ({ start_time }) => isoTime(start_time)),
    copy('process.executable', 'exe'),
    part('process.name', ['exe', 'comm'], 'last part of `exe`, else `comm`', ({ exe, comm }) => name(exe) ?? comm),
    copy('process.thread.id', 'tid'),
    copy('process.thread.name', 'comm'),
    capabilities('process.thread.capabilities.effective', 'cap_effective'),
    capabilities('process.thread.capabilities.permitted', 'cap_permitted'),
    copy('process.args', 'args'),
    part('process.args_count', ['args'], 'length of `process.args`', ({ args }) => args?.length),
    made('process.command_line', ['args'], 'with a space between', ({ args }) => commandLine(args)),
    copy('process.working_directory', 'cwd'),
    made('process.env_vars', ['env'], '`NAME=value`', ({ env }) =>
      env === null ? undefined : Object.entries(env).map(([variable, value]) => `${variable}=${value}`),
    ),
    ...ids(),
    copy('process.session_leader.pid', 'sid'),
    copy('process.group_leader.pid', 'pgid'),
    part('process.interactive', ['tty'], 'whether there is one', interactive),
    part('process.tty.char_device.major', ['tty'], 'of pts, tty and ttyS', ({ tty }) => terminalDevice(tty)?.major),
    part('process.tty.char_device.minor', ['tty'], 'of pts, tty and ttyS', ({ tty }) => terminalDevice(tty)?.minor),
    ...parent(),
    ...file(),
    copy('container.id', 'container_id'),
    copy('container.name', 'k8s_container_name'),
    copy('container.runtime', 'container_runtime'),
    part('orchestrator.type', ['pod_uid'], '`"kubernetes"` in a pod', ({ pod_uid }) => ofPod(pod_uid, 'kubernetes')),
    copy('orchestrator.namespace', 'k8s_namespace'),
    part('orchestrator.resource.type', ['pod_uid'], '`"pod"` in a pod', ({ pod_uid }) => ofPod(pod_uid, 'pod')),
    copy('orchestrator.resource.id', 'pod_uid'),
    copy('orchestrator.resource.name', 'k8s_pod_name'),
  ],
};

/** ECS: `user` of a process is the effective one. */
function ids(): Row<ExecEvent>[] {
  return [
    asText('process.user.id', 'euid'),
    part('process.user.name', ['user_name'], 'when `euid` is `uid`', ({ user_name, uid, euid }) =>
      uid === euid ? user_name : undefined,
    ),
    asText('process.group.id', 'egid'),
    asText('process.real_user.id', 'uid'),
    copy('process.real_user.name', 'user_name'),
    asText('process.real_group.id', 'gid'),
    asText('process.saved_user.id', 'suid'),
    asText('process.saved_group.id', 'sgid'),
    asText('user.id', 'uid'),
    copy('user.name', 'user_name'),
    asText('user.effective.id', 'euid'),
    asText('group.id', 'gid'),
    made('related.user', ['user_name'], 'in a list', ({ user_name }) => (user_name === null ? undefined : [user_name])),
  ];
}

function parent(): Row<ExecEvent>[] {
  return [
    copy('process.parent.pid', 'ppid'),
    copy('process.parent.entity_id', 'parent_process_id'),
    copy('process.parent.executable', 'parent_exe'),
    part(
      'process.parent.name',
      ['parent_exe', 'parent_comm'],
      'last part of `parent_exe`, else `parent_comm`',
      (event) => name(event.parent_exe) ?? event.parent_comm,
    ),
    copy('process.parent.thread.name', 'parent_comm'),
    copy('process.parent.args', 'parent_args'),
    part('process.parent.args_count', ['parent_args'], 'its length', ({ parent_args }) => parent_args?.length),
    made('process.parent.command_line', ['parent_args'], 'with a space between', ({ parent_args }) =>
      commandLine(parent_args),
    ),
    part('process.parent.start', ['ancestors'], '`start_time` of the first, when it is the parent', startOfParent),
  ];
}

function file(): Row<ExecEvent>[] {
  return [
    copy('file.path', 'exe'),
    part('file.name', ['exe'], 'last part', ({ exe }) => name(exe)),
    part('file.directory', ['exe'], 'what is before it', ({ exe }) => (exe === null ? undefined : directoryOf(exe))),
    copy('file.inode', 'file_inode'),
    copy('file.device', 'file_device'),
    part('file.mode', ['file_mode'], 'its last four octal digits', ({ file_mode }) =>
      file_mode === null ? undefined : (file_mode & 0o7777).toString(8).padStart(4, '0'),
    ),
    asText('file.uid', 'file_uid'),
    asText('file.gid', 'file_gid'),
    made('file.mtime', ['file_mtime'], 'as `@timestamp`', ({ file_mtime }) =>
      file_mtime === null ? undefined : isoTime(file_mtime),
    ),
    made('file.ctime', ['file_ctime'], 'as `@timestamp`', ({ file_ctime }) =>
      file_ctime === null ? undefined : isoTime(file_ctime),
    ),
    part('file.type', ['file_mode'], '`"file"` of a regular file', ({ file_mode }) =>
      file_mode !== null && isRegular(file_mode) ? 'file' : undefined,
    ),
  ];
}

function capabilities(to: string, from: 'cap_effective' | 'cap_permitted'): Row<ExecEvent> {
  return made(to, [from], 'names, as in `CAP_BPF`', (event) => capabilityNames(event[from]));
}

function name(path: string | null): string | undefined {
  return path === null ? undefined : baseName(path);
}

function ofPod(uid: string | null, text: string): string | undefined {
  return uid === null ? undefined : text;
}

/** Null is no terminal, unless it could not be read. */
function interactive({ tty, degraded }: ExecEvent): boolean | undefined {
  return tty === null && degraded.includes('tty') ? undefined : tty !== null;
}

function startOfParent({ ancestors, parent_process_id }: ExecEvent): string | undefined {
  const first = ancestors?.[0];
  return first !== undefined && first.process_id === parent_process_id ? isoTime(first.start_time) : undefined;
}
