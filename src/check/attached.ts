import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { reasonOf } from '../errors.ts';
import { type Finding, fail, pass } from './finding.ts';
import { readPins } from './pins.ts';

/**
 * What `run --attached` goes on with. Whether its programs are those of these settings is told by `run`: to compare them
 * would take the lock.
 */
export function attachedFinding(pinPath: string): Finding {
  const attach = 'run `bpf2kafka attach` first, as root and with the same settings';
  try {
    const pins = readPins(pinPath);
    if (pins === undefined || pins.layouts.length === 0) return fail('pins', `nothing is pinned in ${pinPath}`, attach);
    if (pins.owner !== undefined)
      return fail(
        'pins',
        `process ${pins.owner} owns ${pinPath}`,
        'stop that one first; one process reads the records of a host',
      );
    accessSync(join(pinPath, pins.layouts[0] as string, 'host'), constants.R_OK | constants.W_OK);
  } catch (error) {
    return fail(
      'pins',
      `cannot use ${pinPath}: ${reasonOf(error)}`,
      'let `bpf2kafka attach --user` give the pins to this user, and let it pass the directories above them',
    );
  }
  return pass('pins', `attached in ${pinPath}, and this user may go on with it`);
}
