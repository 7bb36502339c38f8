import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { Bpf2KafkaError, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { type ResumeOptions, resumeSpool } from './resume-spool.ts';
import { Spool, type SpoolSettings } from './spool.ts';
import type { RingIdentity } from './tallies.ts';

export function spoolDirectory(stateDir: string): string {
  return join(stateDir, 'spool');
}

/**
 * The spool of a ring, in agreement with it; before anything is read from that.
 * @throws Bpf2KafkaError ERR_CONFIG
 */
export async function openSpool(options: {
  readonly settings: Omit<SpoolSettings, 'directory'> & { readonly stateDir: string };
  readonly identity: RingIdentity;
  readonly capture: ResumeOptions['capture'];
  readonly clock: Clock;
  readonly log: Log;
}): Promise<Spool> {
  const { settings, identity, capture, clock, log } = options;
  const { stateDir, bytes, full } = settings;
  const directory = spoolDirectory(stateDir);
  try {
    const spool = await Spool.open({ settings: { directory, bytes, full }, identity, clock, log });
    await resumeSpool({ spool, capture, identity, log });
    const { records, bytes: onDisk } = spool.state;
    if (records > 0)
      log.info({ directory, records, bytes: onDisk }, 'the spool has records, which are published first');
    return spool;
  } catch (error) {
    if (error instanceof Bpf2KafkaError) throw error;
    const remedy = 'give a --state-dir that this process may use';
    throw new Bpf2KafkaError('ERR_CONFIG', {
      operation: 'open the spool',
      subject: directory,
      reason: reasonOf(error),
      remedy,
      cause: error,
    });
  }
}
