import type { PresentInterface } from '../kernel/packet-capture.ts';
import { automatic, isWantedAmong } from '../sources/interface-watch.ts';
import { degraded, type Finding, pass } from './finding.ts';

/**
 * One for each interface that is wanted; none of them keeps `run` from its work.
 * @param wanted as `--interface`
 * @param ours indices of those that have our program from an earlier run
 */
export function interfaceFindings(
  present: readonly PresentInterface[],
  wanted: readonly string[],
  ours: readonly number[],
): readonly Finding[] {
  const findings = present
    .filter((found) => isWantedAmong(wanted, found))
    .map((found) => interfaceFinding(found, ours.includes(found.index)));
  for (const name of wanted) {
    if (name === automatic || present.some((found) => found.name === name)) continue;
    findings.push(
      degraded(subjectOf(name), 'it does not exist', 'check --interface; it is counted on when it appears'),
    );
  }
  if (wanted.includes(automatic) && !present.some(({ kind, up }) => kind === 'physical' && up))
    findings.push(degraded(subjectOf(automatic), 'no physical interface is up', 'name others with --interface'));
  return findings;
}

function interfaceFinding({ name, kind, up, hasProgram, programId }: PresentInterface, ours: boolean): Finding {
  const subject = subjectOf(name);
  if (hasProgram && !ours) {
    const which = programId === 0 ? 'one for each mode' : `program ${programId}`;
    const found = `it has another XDP program (${which}), which is left alone: packets are not counted there`;
    return degraded(subject, found, `see \`ip link show ${name}\`; take that program off, or leave the interface out`);
  }
  if (!up) return degraded(subject, 'it is down', `ip link set ${name} up; it is counted on when it comes up`);
  return pass(subject, ours ? `${kind}, counted on by the pinned capture` : `${kind}, without an XDP program`);
}

function subjectOf(name: string): string {
  return `interface ${name}`;
}
