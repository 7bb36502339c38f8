import { existsSync } from 'node:fs';
import { attachedFinding } from '../check/attached.ts';
import { bpffsFinding, readBpffs } from '../check/bpffs.ts';
import { brokerFindings } from '../check/broker.ts';
import { capabilityFindings, effectiveCapabilities } from '../check/capabilities.ts';
import { clockFinding } from '../check/clock.ts';
import { readText } from '../check/files.ts';
import { type Finding, failure } from '../check/finding.ts';
import { identityFinding } from '../check/identity.ts';
import { interfaceFindings } from '../check/interfaces.ts';
import { btfFinding, lockdownFinding, programFindings, releaseFinding } from '../check/kernel.ts';
import { headRoom, kernelBytes, memoryFinding } from '../check/memory.ts';
import { type Pins, pinsFinding, readPins, unreadablePins } from '../check/pins.ts';
import { httpFinding, stateDirFinding } from '../check/places.ts';
import { registryFindings } from '../check/registry.ts';
import type { CheckConfig } from '../config/types.ts';
import { isClockSynchronised, presentInterfaces, tryPrograms } from '../kernel/addon.ts';
import { readBootId } from '../kernel/boot-id.ts';
import { LastEntries } from '../ledger/last-entries.ts';
import { createLog } from '../log.ts';
import { type CommandIo, escapeJson, escapeText, writeLine } from '../terminal.ts';

/**
 * `check` of the command line: looks at what `run` with these settings needs, and says it line by line. Nothing is
 * attached, written or left.
 * @returns 0 when run would work, 1 when it would not
 */
export async function checkCommand(config: CheckConfig, io: CommandIo): Promise<number> {
  let works = true;
  for await (const finding of findingsOf(config)) {
    works &&= finding.status !== 'fail';
    await writeLine(io.stdout, config.json ? jsonOf(finding) : lineOf(finding));
  }
  return works ? 0 : 1;
}

/** `pass      kernel: …`, and after a semicolon what to do. */
function lineOf({ status, subject, found, remedy }: Finding): string {
  const text = `${subject}: ${found}${remedy === undefined ? '' : `; ${remedy}`}`;
  return `${status.padEnd('degraded'.length)}  ${escapeText(text)}`;
}

function jsonOf({ status, subject, found, remedy }: Finding): string {
  return escapeJson(JSON.stringify({ status, subject, found, remedy: remedy ?? null }));
}

async function* findingsOf(config: CheckConfig): AsyncGenerator<Finding> {
  yield releaseFinding();
  if (config.attached) yield attachedFinding(config.pinPath);
  else yield* kernelFindings(config);

  yield stateDirFinding(config.stateDir);
  yield await hostFinding(config, existsSync(config.pinPath));
  yield clockFinding(isClockSynchronised);
  yield await httpFinding(config.http);

  // What the client warns of is what the lines say.
  const log = createLog('silent');
  yield* await brokerFindings(config, log);
  yield* await registryFindings(config, log);
}

function* kernelFindings(config: CheckConfig): Generator<Finding> {
  const capabilities = effectiveCapabilities(readText('/proc/self/status') ?? '');
  yield btfFinding(existsSync);
  yield lockdownFinding(readText);
  yield* capabilityFindings(capabilities, config);
  yield* programFindings(config, tryPrograms);
  yield bpffsFinding(readBpffs(config.pinPath, capabilities.has('sys_admin')));

  let pins: Pins | undefined;
  try {
    pins = readPins(config.pinPath);
    yield pinsFinding(pins, config);
  } catch (error) {
    yield unreadablePins(config.pinPath, error);
  }
  yield memoryFinding(pins === undefined ? kernelBytes(config) : 0, headRoom(readText));
  if (config.packets !== undefined) yield* packetFindings(config.packets.interfaces, pins);
}

function packetFindings(wanted: readonly string[], pins: Pins | undefined): readonly Finding[] {
  try {
    return interfaceFindings(presentInterfaces(), wanted, pins?.interfaces ?? []);
  } catch (error) {
    return [failure('interfaces', error)];
  }
}

async function hostFinding({ hostId, stateDir }: CheckConfig, pinned: boolean): Promise<Finding> {
  try {
    const { kept } = await LastEntries.read(stateDir);
    return identityFinding({ hostId, bootId: readBootId(), kept, pinned }, readText);
  } catch (error) {
    return failure('machine-id', error);
  }
}
