import type { CaptureConfig, RunConfig } from './config/types.ts';
import { Bpf2KafkaError } from './errors.ts';
import { ruleNames } from './exec-filters.ts';
import {
  type Capture,
  hasPinnedExecs,
  hasPinnedExits,
  hasPinnedPackets,
  openCapture,
  openPackets,
  recordLayouts,
} from './kernel/addon.ts';
import { readBootId } from './kernel/boot-id.ts';
import type { PacketCapture } from './kernel/packet-capture.ts';
import { WallClock } from './kernel/wall-clock.ts';
import type { Log } from './log.ts';
import type { CaptureIdentity } from './sources/capture-identity.ts';
import { readEarlierLayout } from './sources/earlier-layout.ts';
import { InterfaceWatch } from './sources/interface-watch.ts';

/** What the kernel captures, from the moment at which this is opened. */
export interface CaptureInlets {
  readonly capture: Capture;
  /** Undefined when packets are not counted. */
  readonly packets: { readonly capture: PacketCapture; readonly watch: InterfaceWatch } | undefined;
}

/** Into the sidecar. */
export interface Inlets extends CaptureInlets {
  readonly identity: CaptureIdentity;
  readonly wallClock: WallClock;
}

interface InletsOptions<Config> {
  readonly config: Config;
  readonly log: Log;
}

/**
 * Begins to capture, or takes over what is pinned.
 * @throws Bpf2KafkaError ERR_CONFIG, or of the kernel (exit code 3)
 */
export function openInlets(options: InletsOptions<RunConfig>): Inlets {
  const { hostId, hostName } = options.config;
  const bootId = readBootId();
  const { capture, packets } = openCaptureInlets(options);
  const identity = { hostId, hostName, bootId, attachId: capture.status().attachId };
  return { capture, identity, wallClock: new WallClock(capture.clockOffsets()), packets };
}

/** The same without what a sidecar needs besides. */
export function openCaptureInlets(options: InletsOptions<CaptureConfig>): CaptureInlets {
  const { config } = options;
  const { args, execEnv, failedExecs, execFilters, exitRingBytes, orphanAfterMillis, attached } = config;
  const settings = {
    args,
    env: execEnv.length > 0,
    failed: failedExecs,
    excluded: execFilters,
    exitRingBytes,
    orphanAfterMillis,
    attached,
  };
  if (!attached) refuseUnknownLayouts(config.pinPath); // otherwise `attach` has done so
  const capture = openCapture(config.pinPath, config.execRingBytes, settings);
  try {
    logCapture(capture, options);
    if (config.execRingBytes === undefined && hasPinnedExecs(capture))
      throw goesOn('--no-exec', 'captures execs', config.pinPath);
    if (exitRingBytes === undefined && hasPinnedExits(capture))
      throw goesOn('--no-exit', 'captures exits', config.pinPath);
    return { capture, packets: openPacketInlet(capture, options) };
  } catch (error) {
    closeInlets(capture, config.onExit);
    throw error;
  }
}

/** When nothing comes of it: a capture that this start began ends as `--on-exit` says, an earlier one goes on. */
export function closeInlets(capture: Capture, onExit: 'detach' | 'keep'): void {
  if (!capture.status().resumed && onExit === 'detach') {
    capture.detach();
    capture.unpin();
  }
  capture.close();
}

/** Before anything is touched: records that could not be read are left to the version that wrote them. */
function refuseUnknownLayouts(pinPath: string): void {
  for (const { stream, present, pinned } of recordLayouts(pinPath))
    for (const layout of pinned) readEarlierLayout(`${stream}-events`, layout, present);
}

function openPacketInlet(capture: Capture, { config, log }: InletsOptions<CaptureConfig>): Inlets['packets'] {
  const { packets: wanted, pinPath } = config;
  if (wanted === undefined) {
    if (hasPinnedPackets(capture)) throw goesOn('--no-packets', 'counts packets', pinPath);
    return undefined;
  }
  const packets = openPackets(capture, wanted);
  const { resumed, keyKind, flows, replacedProgram } = packets.status();
  if (resumed) log.info({ replacedProgram }, 'took over the pinned packet counts');
  if (keyKind !== wanted.keyKind || flows !== wanted.flows) {
    const { keyKind: wantedKey, flows: wantedFlows } = wanted;
    log.warn(
      { keyKind, flows, wantedKey, wantedFlows },
      'the packet key and the number of flows stay as they are until the capture is detached',
    );
  }
  const watch = new InterfaceWatch({ packets, wanted: wanted.interfaces, log });
  watch.look();
  return { capture: packets, watch };
}

function goesOn(flag: string, what: string, pinPath: string): Bpf2KafkaError {
  return new Bpf2KafkaError('ERR_CONFIG', {
    operation: `use ${flag} with the capture in`,
    subject: pinPath,
    reason: `it goes on, and it ${what} too, which nobody would read`,
    remedy: 'end it first: run it once more as it was, with `--on-exit detach`',
  });
}

const bytesOfTypicalRecord = { exec: 760, exit: 170 } as const;

function logCapture(capture: Capture, { config, log }: InletsOptions<CaptureConfig>): void {
  const { resumed, attachId } = capture.status();
  const wantedBytes = { exec: config.execRingBytes, exit: config.exitRingBytes };
  for (const name of ['exec', 'exit'] as const) {
    const stream = capture[name];
    const wanted = wantedBytes[name];
    if (stream === undefined || wanted === undefined) continue;
    const { replacedProgram, ringBytes, corrupt } = stream.status();
    const backlog = stream.backlog();
    const earlierRings = stream.earlier.filter((ring) => !ring.status().retired).length;
    const secondsOf1000PerSecond = Math.round(ringBytes / bytesOfTypicalRecord[name] / 1000);
    const rules = name === 'exec' ? { rules: ruleNames(config.execFilters).length } : {};
    const { pinPath } = config;
    log.info(
      { stream: name, pinPath, attachId, backlog, ringBytes, secondsOf1000PerSecond, replacedProgram, ...rules },
      resumed ? 'took over the pinned capture' : 'capturing',
    );
    if (earlierRings > 0)
      log.info(
        { stream: name, earlierRings },
        'the record layout has changed: the rings of before are published first',
      );
    if (ringBytes !== wanted) {
      log.warn({ stream: name, ringBytes, wanted }, 'the ring keeps its size until the capture is detached');
    }
    if (corrupt > 0) {
      const message = 'the ring was not readable where it had been left; the records up to here count as lost';
      log.error({ stream: name, corrupt }, message);
    }
  }
}
