import type { ExitEvent } from '../schemas/exit-event.ts';
import { copy, type Mapping, type Row } from './mapping.ts';
import { ocsfDevice, ocsfEvent } from './ocsf.ts';

/** Process Activity: Terminate. Who ended it is not known, so that the actor is the process itself, as the schema says. */
export const ocsfExit: Mapping<ExitEvent> = {
  rest: 'unmapped',
  rows: [
    ...ocsfEvent(
      'exit',
      { category: [1, 'System Activity'], class: [1007, 'Process Activity'], activity: [2, 'Terminate'] },
      { topic: 'exit-events', profiles: ['container', 'host'] },
    ),
    copy('time', 'event_time'),
    copy('exit_code', 'exit_code'),
    ...ocsfDevice<ExitEvent>(),
    ...processAs('actor.process'),
    ...processAs('process'),
    copy('process.terminated_time', 'event_time'),
    copy('process.container.uid', 'container_id'),
  ],
};

function processAs(to: string): Row<ExitEvent>[] {
  return [
    copy(`${to}.pid`, 'pid'),
    copy(`${to}.uid`, 'process_id'),
    copy(`${to}.name`, 'comm'),
    copy(`${to}.created_time`, 'start_time'),
  ];
}
