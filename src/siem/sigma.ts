import type { ExecEvent } from '../schemas/exec-event.ts';
import { copy, type Mapping, made, part } from './mapping.ts';
import { documentIds } from './records.ts';
import { commandLine, nearestIsoTime } from './values.ts';

/**
 * The fields of Sigma's log source `product: linux, category: process_creation`, which are those of Sysmon for Linux,
 * event 1. Nothing else: no rule looks at more.
 */
export const sigmaExec: Mapping<ExecEvent> = {
  rest: undefined,
  rows: [
    made('EventRecordID', [], 'the id of the document; a number in Sysmon', documentIds.exec),
    part('UtcTime', ['event_time'], 'UTC, as in `2026-11-29 16:20:08.123`', ({ event_time }) =>
      nearestIsoTime(event_time).replace('T', ' ').replace('Z', ''),
    ),
    copy('Computer', 'host_name'),
    made('Image', ['exe', 'filename'], '`exe`; when unknown, an absolute `filename` of no script', image),
    made('CommandLine', ['args'], 'with a space between', ({ args }) => commandLine(args)),
    copy('CurrentDirectory', 'cwd'),
    copy('User', 'user_name'),
    copy('LogonId', 'uid'),
    copy('TerminalSessionId', 'session_id'),
    copy('ProcessId', 'pid'),
    copy('ProcessGuid', 'process_id'),
    copy('ParentProcessId', 'ppid'),
    copy('ParentProcessGuid', 'parent_process_id'),
    copy('ParentImage', 'parent_exe'),
    made('ParentCommandLine', ['parent_args'], 'with a space between', ({ parent_args }) => commandLine(parent_args)),
  ],
};

function image({ exe, filename, interpreter }: ExecEvent): string | undefined {
  return exe ?? (interpreter === null && filename.startsWith('/') ? filename : undefined);
}
