import { readdirSync } from 'node:fs';
import type { Metric } from './table.ts';

/**
 * Of this process, under the names that all clients of Prometheus give them. Not the client's own collection: its delay of
 * the event loop keeps a timer of 10 ms running.
 */
export const processMetrics: readonly Metric[] = [
  {
    name: 'process_cpu_seconds_total',
    type: 'counter',
    help: 'CPU time of user and system',
    labels: [],
    samples: () => {
      const { user, system } = process.cpuUsage();
      return [[(user + system) / 1e6]];
    },
  },
  {
    name: 'process_resident_memory_bytes',
    type: 'gauge',
    help: 'Resident memory; rings and maps of the kernel are not in it',
    labels: [],
    samples: () => [[process.memoryUsage.rss()]],
  },
  {
    name: 'process_start_time_seconds',
    type: 'gauge',
    help: 'Start of the process, seconds since 1970',
    labels: [],
    samples: () => [[performance.timeOrigin / 1e3]],
  },
  {
    name: 'process_open_fds',
    type: 'gauge',
    help: 'Open file descriptors',
    labels: [],
    samples: () => [[readdirSync('/proc/self/fd').length]],
  },
];
