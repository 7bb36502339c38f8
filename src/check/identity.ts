import { isFinal, type Kept } from '../ledger/last-entries.ts';
import type { ReadText } from './files.ts';
import { degraded, type Finding, fail, pass } from './finding.ts';

/** What the host is known by. */
export interface IdentityFacts {
  readonly hostId: string;
  readonly bootId: string;
  /** The newest entries in the state directory. */
  readonly kept: readonly Kept[];
  /** A capture of an earlier run goes on. */
  readonly pinned: boolean;
}

const machineIdFile = '/etc/machine-id';

export function identityFinding({ hostId, bootId, kept, pinned }: IdentityFacts, read: ReadText): Finding {
  const subject = 'machine-id';
  const before = kept.find(({ entry }) => entry.boot_id === bootId && !isFinal(entry) && entry.host_id !== hostId);
  if (pinned && before !== undefined)
    return fail(
      subject,
      `the capture that goes on was begun as ${before.entry.host_id}, and this is ${hostId}`,
      'run it once more as it was, with `--on-exit detach`',
    );
  if (hostId !== read(machineIdFile)?.trim()) return pass(subject, `${hostId}, as --host-id says`);
  const ofHost = read(`/proc/1/root${machineIdFile}`)?.trim();
  if (ofHost !== undefined && ofHost !== hostId)
    return degraded(
      subject,
      `${hostId} is the container's own: each container would be another host`,
      `mount the host's ${machineIdFile} into the container`,
    );
  return pass(subject, `${hostId}, from ${machineIdFile}`);
}
