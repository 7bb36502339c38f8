import { Bpf2KafkaError } from '../errors.ts';
import { type ExecFilters, noFilters } from '../exec-filters.ts';
import type { EpochCut, FinalTotals } from './counts.ts';
import type { EarlierRing, EventRing, EventStream } from './event-ring.ts';
import type { StructLayout } from './layout.ts';
import { loadAddon, translated, translating } from './load-addon.ts';
import type { PacketCapture, PacketSettings, PresentInterface } from './packet-capture.ts';

/**
 * The typed contract of the native addon (native/addon.cpp) about the kernel side; what it does with records is in
 * record-writer.ts. What goes in is checked here; what fails inside comes out as a Bpf2KafkaError.
 */

export interface CaptureStatus {
  /** The capture was pinned before this process came. */
  readonly resumed: boolean;
  /** Microseconds since boot at which the pins were created. */
  readonly attachId: number;
  readonly epoch: number;
}

/** From `fromBootMicros` on, microseconds since 1970 = microseconds since boot + `realtimeMinusBootMicros`. */
export interface ClockOffset {
  readonly fromBootMicros: number;
  readonly realtimeMinusBootMicros: number;
}

/** How much of argv is captured (enum exec_args). */
export type ExecArgs = 'full' | 'program' | 'none';

/** What is captured of an exec. */
export interface ExecSettings {
  readonly args: ExecArgs;
  /** The environment too. */
  readonly env: boolean;
  /** Those that fail too. */
  readonly failed?: boolean;
  /** What is not. */
  readonly excluded: ExecFilters;
}

/** What is captured besides packets. */
export interface CaptureSettings extends ExecSettings {
  /** Size of the ring of exits, where there is none yet; undefined: exits are not captured. */
  readonly exitRingBytes?: number | undefined;
  /** So long after the last `heartbeat` nothing is captured any more; undefined or 0: never. */
  readonly orphanAfterMillis?: number;
  /** Only go on with what another process has attached with these settings: that takes no capability, and loads nothing. */
  readonly attached?: boolean;
}

/** What the kernel side has programs for. */
export type ProgramStream = 'exec' | 'failed execs' | 'exit' | 'packets';

/** A running capture; the process that holds it is the owner of the pins. */
export interface Capture {
  /** Empty when execs are not captured. */
  readonly exec: EventStream & { readonly bare: EventRing };
  /** Undefined when exits are not captured. */
  readonly exit: EventStream | undefined;
  status(): CaptureStatus;
  /** Oldest first, never empty. */
  clockOffsets(): ClockOffset[];
  /** Notes a new clock offset when wall time was set or has drifted by more than 5 ms. */
  syncClock(): void;
  /**
   * Says that somebody reads: at least twice in `orphanAfterMillis`. Where that was missed the programs have stopped; they go
   * on, and the time between counts as unobserved.
   */
  heartbeat(): void;
  /**
   * Ends the present epoch and begins the next. One at a time, and with packets only when the epoch before is cleared;
   * the main loop goes on meanwhile, some 20 ms.
   */
  advanceEpoch(): Promise<EpochCut>;
  /**
   * Replaces the rules that keep execs out, off the main loop; some 0.2 s. Each exec falls under the old ones or under the
   * new ones, and when the promise resolves under the new ones. When it rejects, the old ones hold.
   */
  exclude(filters: ExecFilters): Promise<void>;
  /** Lets this user open the pins, to go on with the capture as `attached`; the directories stay as they are for others. */
  giveTo(uid: number, gid: number): void;
  /** Ends the capturing and waits for runs that had begun; what was captured stays readable. Blocks some 10 ms. */
  detach(): void;
  /** Removes every pin, and with them what was not committed. */
  unpin(): void;
  /** Gives the ownership up; the pins stay. May be called twice. */
  close(): void;
}

/** What is there only to be opened. */
interface NativeCapture extends Omit<Capture, 'exec' | 'exit'> {
  openExec(): EventStream;
  openBareExec(): EventRing;
  openExit(): EventStream | undefined;
  hasPinnedExecs(): boolean;
  openEarlier(stream: 'exec' | 'exit'): EarlierRing[];
  hasPinnedExits(): boolean;
  openPackets(settings: PacketSettings): PacketCapture;
  hasPinnedPackets(): boolean;
}

/** Sizes are 0 where there is to be no ring. */
interface NativeSettings extends ExecSettings {
  readonly execRingBytes: number;
  readonly exitRingBytes: number;
}

/** How records of one stream are laid out. */
export interface RecordLayouts {
  readonly stream: 'exec' | 'exit';
  /** By this version. */
  readonly present: StructLayout;
  /** By earlier versions, where they differ and rings of such records are pinned; oldest first. */
  readonly pinned: readonly StructLayout[];
}

interface NativeAddon {
  recordLayouts(pinPath: string): RecordLayouts[];
  tryPrograms(stream: ProgramStream): void;
  interfaces(): PresentInterface[];
  isClockSynchronised(): boolean;
  Capture: new (pinPath: string, settings: NativeSettings) => NativeCapture;
  detach(pinPath: string, discard: boolean): FinalTotals | undefined;
  tellServiceManager(socket: string, message: string): number;
}

const addon = () => loadAddon<NativeAddon>();

/** Smallest ring that a longest record fits, bytes. */
export const minimumRingBytes = 64 * 1024;

/**
 * Begins a capture or takes over the pinned one, with what it had not published; the latter only when it is `attached`.
 * @param pinPath a directory on a bpffs
 * @param ringBytes of the execs, for a new ring: a power of two, at least 64 KiB; undefined: execs are not captured
 * @param settings of the execs from now on, and of exits
 */
export function openCapture(
  pinPath: string,
  ringBytes: number | undefined,
  settings: CaptureSettings = { args: 'full', env: false, excluded: noFilters },
): Capture {
  const { exitRingBytes } = settings;
  for (const bytes of [ringBytes, exitRingBytes]) if (bytes !== undefined) checkRing(bytes);
  const native = translating(
    translated(
      () =>
        new (addon().Capture)(pinPath, {
          orphanAfterMillis: 0,
          ...settings,
          execRingBytes: ringBytes ?? 0,
          exitRingBytes: exitRingBytes ?? 0,
        }),
      settings.attached,
    ),
  );
  const exit = native.openExit();
  const earlier = (stream: 'exec' | 'exit') => ({ earlier: native.openEarlier(stream).map(translating) });
  return Object.assign(native, {
    exec: Object.assign(translating(native.openExec()), { bare: translating(native.openBareExec()) }, earlier('exec')),
    exit: exit === undefined ? undefined : Object.assign(translating(exit), earlier('exit')),
  });
}

/**
 * How records are laid out, of each stream that has rings pinned, before anything of that is touched.
 * @throws Bpf2KafkaError ERR_PIN_LAYOUT when it is not known for rings that are pinned
 */
export function recordLayouts(pinPath: string): readonly RecordLayouts[] {
  return translated(() => addon().recordLayouts(pinPath));
}

function checkRing(bytes: number): void {
  if (Number.isInteger(Math.log2(bytes)) && bytes >= minimumRingBytes && bytes <= 2 ** 31) return;
  throw new Bpf2KafkaError('ERR_CONFIG', {
    operation: 'make a ring buffer of',
    subject: `${bytes} bytes`,
    reason: `it must be a power of two from ${minimumRingBytes} to ${2 ** 31}`,
  });
}

/** Execs are captured under the pins of the capture, or were and wait for a reader. */
export function hasPinnedExecs(capture: Capture): boolean {
  return (capture as unknown as NativeCapture).hasPinnedExecs();
}

/** Exits are captured under the pins of the capture, by this process or by one before it. */
export function hasPinnedExits(capture: Capture): boolean {
  return (capture as unknown as NativeCapture).hasPinnedExits();
}

/**
 * Counts packets under the pins of the capture, on no interface yet, or goes on with those that are counted there. From
 * then on no epoch of the capture ends before the packets of the one before are acknowledged and cleared.
 */
export function openPackets(capture: Capture, settings: PacketSettings): PacketCapture {
  return translating((capture as unknown as NativeCapture).openPackets(settings));
}

/** Packets are counted under the pins of the capture, by this process or by one before it. */
export function hasPinnedPackets(capture: Capture): boolean {
  return (capture as unknown as NativeCapture).hasPinnedPackets();
}

/**
 * Ends and removes a pinned capture that nobody owns.
 * @returns undefined when nothing was pinned
 */
export function detachPinned(pinPath: string, discard: boolean): FinalTotals | undefined {
  return translated(() => addon().detach(pinPath, discard));
}

/**
 * Loads the programs of a stream, on maps of their own, and lets go of them: nothing is attached or pinned.
 * @throws Bpf2KafkaError ERR_KERNEL_UNSUPPORTED, ERR_PERMISSION, ERR_BPF with the verifier's words
 */
export function tryPrograms(stream: ProgramStream): void {
  translated(() => addon().tryPrograms(stream));
}

/** Every interface of this network namespace, without a capture. */
export function presentInterfaces(): readonly PresentInterface[] {
  return translated(() => addon().interfaces());
}

/** Whether something disciplines the wall clock, as adjtimex(2) has it. */
export function isClockSynchronised(): boolean {
  return translated(() => addon().isClockSynchronised());
}

/**
 * Sends a message of sd_notify(3); not of the kernel, but Node.js has no such sockets.
 * @returns 0 or an errno
 */
export function tellServiceManager(socket: string, message: string): number {
  return addon().tellServiceManager(socket, message);
}
