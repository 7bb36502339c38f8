import type { RunConfig } from './config.ts';
import { Bpf2KafkaError } from './errors.ts';
import { ruleNames } from './exec-filters.ts';
import { type Capture, hasPinnedPackets, openCapture, openPackets, type PacketCapture } from './kernel/addon.ts';
import { readBootId } from './kernel/boot-id.ts';
import { WallClock } from './kernel/wall-clock.ts';
import type { Log } from './log.ts';
import type { CaptureIdentity } from './sources/capture-identity.ts';
import { InterfaceWatch } from './sources/interface-watch.ts';

/** Into the sidecar: what the kernel captures, from the moment at which this is opened. */
export interface Inlets {
  readonly capture: Capture;
  readonly identity: CaptureIdentity;
  readonly wallClock: WallClock;
  /** Undefined when packets are not counted. */
  readonly packets: { readonly capture: PacketCapture; readonly watch: InterfaceWatch } | undefined;
}

interface InletsOptions {
  readonly config: RunConfig;
  readonly log: Log;
}

/**
 * Begins to capture, or takes over what is pinned.
 * @throws Bpf2KafkaError ERR_CONFIG, or of the kernel (exit code 3)
 */
export function openInlets(options: InletsOptions): Inlets {
  const { config } = options;
  const settings = { args: config.args, env: config.execEnv.length > 0, excluded: config.execFilters };
  const capture = openCapture(config.pinPath, config.execRingBytes, settings);
  const { attachId } = capture.status();
  const identity = { hostId: config.hostId, hostName: config.hostName, bootId: readBootId(), attachId };
  const wallClock = new WallClock(capture.clockOffsets());
  try {
    logCapture(capture, options);
    return { capture, identity, wallClock, packets: openPacketInlet(capture, options) };
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

function openPacketInlet(capture: Capture, { config, log }: InletsOptions): Inlets['packets'] {
  const { packets: wanted, pinPath } = config;
  if (wanted === undefined) {
    if (hasPinnedPackets(capture)) throw packetsGoOn(pinPath);
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

function packetsGoOn(pinPath: string): Bpf2KafkaError {
  return new Bpf2KafkaError('ERR_CONFIG', {
    operation: 'use --no-packets with the capture in',
    subject: pinPath,
    reason: 'it goes on, and it counts packets too, which nobody would read',
    remedy: 'end it first: run it once more as it was, with `--on-exit detach`',
  });
}

function logCapture(capture: Capture, { config, log }: InletsOptions): void {
  const { resumed, replacedProgram, attachId, ringBytes, corrupt } = capture.status();
  const backlog = capture.backlog();
  const bytesOfTypicalRecord = 320;
  const secondsOf1000ExecsPerSecond = Math.round(ringBytes / bytesOfTypicalRecord / 1000);
  log.info(
    {
      ...{ pinPath: config.pinPath, attachId, backlog, ringBytes, secondsOf1000ExecsPerSecond, replacedProgram },
      rules: ruleNames(config.execFilters).length,
    },
    resumed ? 'took over the pinned capture' : 'capturing',
  );
  if (resumed && ringBytes !== config.execRingBytes) {
    log.warn({ ringBytes, wanted: config.execRingBytes }, 'the ring keeps its size until the capture is detached');
  }
  if (corrupt > 0) {
    log.error({ corrupt }, 'the ring was not readable where it had been left; the records up to here count as lost');
  }
}
