import { reasonOf } from '../errors.ts';
import { degraded, type Finding, pass } from './finding.ts';

/**
 * The kernel's word: who disciplines the clock (chrony, ntpd, systemd-timesyncd, PTP) tells it so. A clock that is right by
 * other means, as a virtual machine's can be, shows as not synchronised.
 */
export function clockFinding(isSynchronised: () => boolean): Finding {
  const remedy = 'run chrony, systemd-timesyncd or the like; times of events come from this clock';
  try {
    if (isSynchronised()) return pass('clock', 'synchronised (adjtimex)');
    return degraded('clock', 'nothing keeps it right (adjtimex says unsynchronised)', remedy);
  } catch (error) {
    return degraded(
      'clock',
      `its state may not be asked for: ${reasonOf(error)}`,
      'allow adjtimex in the seccomp profile',
    );
  }
}
