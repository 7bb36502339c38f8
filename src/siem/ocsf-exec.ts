import type { ExecEvent } from '../schemas/exec-event.ts';
import { asText, constant, copy, type Mapping, made, part, type Row } from './mapping.ts';
import { ocsfDevice, ocsfEvent, ocsfVersion } from './ocsf.ts';
import { baseName, commandLine, int32, isRegular } from './values.ts';

/** Process Activity: Launch. The launch is an exec: the process was there before, with another program. */
export const ocsfExec: Mapping<ExecEvent> = {
  rest: 'unmapped',
  rows: [
    ...ocsfEvent(
      'exec',
      { category: [1, 'System Activity'], class: [1007, 'Process Activity'], activity: [1, 'Launch'] },
      { topic: 'exec-events', profiles: ['container', 'host', 'linux/linux_users'] },
    ),
    constant('metadata.extensions', [{ name: 'linux', uid: '1', version: ocsfVersion }]),
    part('metadata.is_truncated', ['args_truncated'], 'when arguments are cut', (event) => event.args_truncated),
    copy('time', 'event_time'),
    constant('launch_type_id', 3),
    constant('launch_type', 'Exec'),
    part('status_id', ['exec_result'], '1 for 0, otherwise 2', ({ exec_result }) => status(exec_result)?.[0]),
    part('status', ['exec_result'], 'Success or Failure', ({ exec_result }) => status(exec_result)?.[1]),
    asText('status_code', 'exec_result'),
    ...ocsfDevice<ExecEvent>(),
    ...parentAs('actor.process'),
    asText('actor.user.uid', 'uid'),
    copy('actor.user.name', 'user_name'),
    copy('process.pid', 'pid'),
    copy('process.uid', 'process_id'),
    copy('process.tid', 'tid'),
    copy('process.namespace_pid', 'ns_pid'),
    copy('process.created_time', 'start_time'),
    copy('process.name', 'comm'),
    copy('process.path', 'exe'),
    part(
      'process.cmd_line',
      ['args'],
      'with a space between; `""` when unknown',
      ({ args }) => commandLine(args) ?? '',
    ),
    copy('process.working_directory', 'cwd'),
    made('process.environment_variables', ['env'], 'name and value', ({ env }) =>
      env === null ? undefined : Object.entries(env).map(([name, value]) => ({ name, value })),
    ),
    asText('process.user.uid', 'uid'),
    copy('process.user.name', 'user_name'),
    asText('process.group.uid', 'gid'),
    made('process.euid', ['euid'], 'below 2^31', ({ euid }) => int32(euid)),
    made('process.egid', ['egid'], 'below 2^31', ({ egid }) => int32(egid)),
    made('process.auid', ['loginuid'], 'below 2^31', ({ loginuid }) => int32(loginuid)),
    asText('process.session.uid', 'session_id'),
    copy('process.session.terminal', 'tty'),
    part('process.file.name', ['exe', 'filename'], 'last part of `exe`, else of `filename`', ({ exe, filename }) =>
      baseName(exe ?? filename),
    ),
    copy('process.file.path', 'exe'),
    part('process.file.type_id', ['file_mode'], '1 of a regular file, else 0', (event) => fileType(event)[0]),
    part('process.file.type', ['file_mode'], 'Regular File or Unknown', (event) => fileType(event)[1]),
    copy('process.file.uid', 'file_inode'),
    asText('process.file.owner.uid', 'file_uid'),
    copy('process.file.modified_time', 'file_mtime'),
    copy('process.file.is_deleted', 'file_deleted'),
    ...container(),
    ...parentAs('process.parent_process'),
    part('process.ancestry', ['ancestors'], 'the same, without `exec_id`', ({ ancestors }) =>
      ancestors?.map(({ pid, process_id, comm, start_time, exe }) => {
        const entity = { pid, uid: process_id, name: comm, created_time: start_time };
        return exe === null ? entity : { ...entity, path: exe };
      }),
    ),
  ],
};

function status(result: number | null): readonly [number, string] | undefined {
  if (result === null) return undefined;
  return result === 0 ? [1, 'Success'] : [2, 'Failure'];
}

function fileType({ file_mode }: ExecEvent): readonly [number, string] {
  return file_mode !== null && isRegular(file_mode) ? [1, 'Regular File'] : [0, 'Unknown'];
}

/** Who called exec cannot be told from the process itself, which is the same: it is shown as its parent's doing. */
function parentAs(to: string): Row<ExecEvent>[] {
  return [
    copy(`${to}.pid`, 'ppid'),
    copy(`${to}.uid`, 'parent_process_id'),
    copy(`${to}.name`, 'parent_comm'),
    copy(`${to}.path`, 'parent_exe'),
    part(`${to}.cmd_line`, ['parent_args'], 'with a space between', ({ parent_args }) => commandLine(parent_args)),
  ];
}

/** The object must have a name or an id. */
function container(): Row<ExecEvent>[] {
  const known = ({ container_id, k8s_container_name }: ExecEvent) =>
    container_id !== null || k8s_container_name !== null;
  // OCSF wants the form with dashes; the hash of a static pod has none.
  const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
  return [
    copy('process.container.uid', 'container_id'),
    copy('process.container.name', 'k8s_container_name'),
    made('process.container.runtime', ['container_runtime'], 'of a container with id or name', (event) =>
      known(event) ? event.container_runtime : undefined,
    ),
    made('process.container.pod_uuid', ['pod_uid'], 'with dashes, of a container with id or name', (event) =>
      known(event) && event.pod_uid !== null && uuid.test(event.pod_uid) ? event.pod_uid : undefined,
    ),
    part('process.container.orchestrator', ['pod_uid'], '`"kubernetes"` in a pod', (event) =>
      known(event) && event.pod_uid !== null ? 'kubernetes' : undefined,
    ),
  ];
}
