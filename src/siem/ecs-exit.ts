import type { ExitEvent } from '../schemas/exit-event.ts';
import { ecsEvent } from './ecs.ts';
import { copy, type Mapping, made, part } from './mapping.ts';
import { isoTime } from './values.ts';

/** The end of a process. */
export const ecsExit: Mapping<ExitEvent> = {
  rest: 'bpf2kafka',
  rows: [
    ...ecsEvent('exit', { category: 'process', type: 'end', action: 'exit' }, 'event_time'),
    copy('event.sequence', 'seq'),
    copy('process.pid', 'pid'),
    copy('process.entity_id', 'process_id'),
    copy('process.name', 'comm'),
    copy('process.thread.name', 'comm'),
    copy('process.exit_code', 'exit_code'),
    made('process.start', ['start_time'], 'as `@timestamp`', ({ start_time }) => isoTime(start_time)),
    part('process.end', ['event_time'], 'as `@timestamp`', ({ event_time }) => isoTime(event_time)),
    part('process.uptime', ['run_time_micros'], 'in seconds, rounded down', ({ run_time_micros }) =>
      run_time_micros === null ? undefined : Math.floor(run_time_micros / 1_000_000),
    ),
    copy('container.id', 'container_id'),
  ],
};
