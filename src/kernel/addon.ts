import { Bpf2KafkaError } from '../errors.ts';
import { type ExecFilters, noFilters } from '../exec-filters.ts';
import type { StructLayout } from './layout.ts';
import { loadAddon, translated, translating } from './load-addon.ts';

/**
 * The typed contract of the native addon (native/addon.cpp) about the kernel side; what it does with records is in
 * record-writer.ts. What goes in is checked here; what fails inside comes out as a Bpf2KafkaError.
 */

/** What one read brought. */
export interface ReadResult {
  /** Records in the buffer, each as: u32 payload bytes, u32 zero, payload, padding to a multiple of 8. */
  readonly records: number;
  /** Used bytes of the buffer. */
  readonly bytes: number;
  /** Ring position behind the last record, bytes since the ring was made: what `commit` takes. */
  readonly position: number;
}

export interface CaptureStatus {
  /** The capture was pinned before this process came. */
  readonly resumed: boolean;
  /** Microseconds since boot at which the pins were created. */
  readonly attachId: number;
  readonly epoch: number;
}

/** What became of the records of one ring, since attachId. */
export interface RingStatus {
  readonly acknowledged: number;
  readonly undecodable: number;
  /** Offsets of the first and the last acknowledged record at the present destination; -1 before there is one. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** Records of all rings of the stream that were moved to the spool; like the four below it 0 for any but its main ring. */
  readonly spooled: number;
  /** Of the spool that has them; 0 when nothing was moved yet. */
  readonly spoolId: number;
  /** Of those that were moved: acknowledged since, dropped when the spool was full, gone with it. */
  readonly spoolAcknowledged: number;
  readonly spoolEvicted: number;
  readonly spoolMissing: number;
  readonly corrupt: number;
  readonly corruptBytes: number;
  /** Of an earlier version, read to its end and given up: it has no memory any more. */
  readonly retired: boolean;
  /** Ring position up to which everything is committed, and behind the newest record. */
  readonly consumerPosition: number;
  readonly producerPosition: number;
  readonly waitingBytes: number;
  readonly ringBytes: number;
  readonly highWaterBytes: number;
}

/** Counters of the kernel for one stream, since attachId, and of its ring of whole records. */
export interface StreamStatus extends KernelCounts, RingStatus {
  /** The program of an earlier version, or one with other settings, was replaced by this one's. */
  readonly replacedProgram: boolean;
  /** How long nothing was captured since attachId. */
  readonly unobservedMicros: number;
  /** Of the compiled programs whose record program is installed, 16 hexadecimal digits. */
  readonly programHash: string;
  readonly nextSeq: number;
}

/** What the kernel counted of a stream; all but the first and the last are lost. */
export interface KernelCounts {
  readonly entered: number;
  readonly fellThrough: number;
  readonly ringFull: number;
  readonly ringBusy: number;
  /** Of which only a bare record had room. */
  readonly bare: number;
}

/** From `fromBootMicros` on, microseconds since 1970 = microseconds since boot + `realtimeMinusBootMicros`. */
export interface ClockOffset {
  readonly fromBootMicros: number;
  readonly realtimeMinusBootMicros: number;
}

/** What the kernel counted through the end of one epoch, exactly; totals since attachId. */
export interface EpochCut {
  /** The one that ended. */
  readonly epoch: number;
  readonly beginBootMicros: number;
  readonly endBootMicros: number;
  readonly exec: StreamCut;
  /** Undefined when exits are not captured. */
  readonly exit?: StreamCut;
  /** One for each slot of the interface table. */
  readonly packets: readonly PacketTotals[];
}

/** Of one stream. */
export interface StreamCut extends KernelCounts {
  /** Events that rules kept out of the ring, by the rule's name; only where there are any. */
  readonly filtered: Readonly<Record<string, number>>;
  /** Runs that the kernel's recursion guard kept from the program, as of the moment after the epoch. */
  readonly skipped: number;
  /** Every sequence number below it was given out in this epoch or before. */
  readonly seq: number;
  /** Position behind the last record of this epoch in the ring of whole records, and in that of bare ones. */
  readonly producerPosition: number;
  readonly bareProducerPosition: number;
}

/** What came in on the interface of one slot through the end of one epoch, in packets; totals since attachId. */
export interface PacketTotals {
  /** Index in the pinned table of interfaces; never used again within an attach. */
  readonly slot: number;
  readonly interfaceIndex: number;
  /** Not unique: an interface that is removed and made again gets another slot. */
  readonly name: string;
  readonly seen: number;
  readonly seenBytes: number;
  readonly fragment: number;
  readonly malformed: number;
  readonly nonIp: number;
  /** Their keys found no room in the map. */
  readonly overflow: number;
  readonly filtered: number;
  /** How long the interface was not observed. */
  readonly unobservedMicros: number;
}

/** The whole account of a capture that has ended; totals since attachId. */
export interface FinalTotals {
  /** 0 when it had not begun to capture. */
  readonly attachId: number;
  readonly epoch: number;
  readonly exec: FinalStream;
  /** Undefined when exits were not captured. */
  readonly exit?: FinalStream;
  /** One for each slot of the interface table. */
  readonly packets: readonly FinalPackets[];
}

/** What became of the records of one stream; totals since attachId. */
export interface FinalStream extends Omit<StreamCut, 'seq' | 'producerPosition' | 'bareProducerPosition'> {
  readonly acknowledged: number;
  readonly undecodable: number;
  /** As in RingStatus. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** Records of the ring that were thrown away. */
  readonly discarded: number;
  /** As in StreamStatus. */
  readonly spooled: number;
  readonly spoolAcknowledged: number;
  readonly spoolEvicted: number;
  readonly spoolMissing: number;
}

/** What became of the packets of one slot; totals since attachId. */
export interface FinalPackets extends Pick<PacketTotals, 'name' | 'seen' | 'filtered'> {
  /** In acknowledged records. */
  readonly published: number;
  /** As in RingStatus. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** Were counted, and thrown away with the maps. */
  readonly discarded: number;
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

/** What makes a key besides the interface (enum packet_key_kind), and where XDP counts (enum packet_mode). */
export type PacketKeyKind = 'flow' | 'service' | 'hosts' | 'example';
export type XdpMode = 'native' | 'generic' | 'offload';

/** How packets are counted. */
export interface PacketSettings {
  readonly keyKind: PacketKeyKind;
  /** Keys that each of the two maps holds. */
  readonly flows: number;
  /** Packets from or to these are counted as filtered. */
  readonly excluded: readonly AddressPrefix[];
}

export interface AddressPrefix {
  readonly family: 4 | 6;
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  /** Bits. */
  readonly prefixLength: number;
}

export interface PacketStatus {
  /** Packets were counted under these pins before this process came; then keyKind and flows are theirs. */
  readonly resumed: boolean;
  /** As in StreamStatus; the settings are the prefixes that are excluded. */
  readonly replacedProgram: boolean;
  readonly programHash: string;
  readonly keyKind: PacketKeyKind;
  readonly flows: number;
  /** The epoch that ended last; its counts stand still. */
  readonly frozenEpoch: number;
  /** The broker has everything through it. */
  readonly ackedEpoch: number;
  /** And its counts are cleared: the next epoch may end. */
  readonly clearedEpoch: number;
  /** Offsets of the first and the last acknowledged record at the present destination; -1 before there is one. */
  readonly firstOffset: number;
  readonly lastOffset: number;
}

/** A slot of the pinned table of interfaces: every one that ever had the program under this attach. */
export interface InterfaceSlot {
  readonly slot: number;
  readonly index: number;
  readonly name: string;
  readonly kind: string;
  readonly parent: string | null;
  readonly mode: XdpMode;
  /** Packets in acknowledged records, filtered ones left out; since attachId. */
  readonly published: number;
}

/** An interface as it is now. */
export interface NetworkInterface {
  readonly index: number;
  readonly name: string;
  /** physical, loopback, the kernel's word for a virtual one, or unknown. */
  readonly kind: string;
  readonly up: boolean;
  /** It has our program. */
  readonly attached: boolean;
}

/** An interface as someone sees it who counts on none. */
export interface PresentInterface extends Omit<NetworkInterface, 'attached'> {
  /** It has an XDP program, ours or not. */
  readonly hasProgram: boolean;
  /** Of that program; 0 when it has one for each mode. */
  readonly programId: number;
}

/** What the kernel side has programs for. */
export type ProgramStream = 'exec' | 'failed execs' | 'exit' | 'packets';

/** What the epoch that ended last has counted. */
export interface FrozenPackets {
  readonly epoch: number;
  readonly beginBootMicros: number;
  readonly endBootMicros: number;
  /** Entries that `take` hands out. */
  readonly keys: number;
  readonly classes: readonly ClassCount[];
  /** By slot: the packets of all of it, filtered ones left out. */
  readonly packets: readonly number[];
}

/** Packets without a key. */
export interface ClassCount {
  readonly slot: number;
  /** Value of enum packet_class. */
  readonly trafficClass: number;
  readonly packets: number;
  readonly bytes: number;
}

export interface AcknowledgedPackets {
  /** In the topic; -1 when nothing was acknowledged there yet. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** Packets in the acknowledged records of the frozen epoch, filtered ones left out. */
  readonly published: readonly { readonly slot: number; readonly packets: number }[];
}

/** The packets of a running capture. Only what the frozen epoch has counted is read; it stays until it is cleared. */
export interface PacketCapture {
  status(): PacketStatus;
  /** Of struct packet_key, which stands at the beginning of an entry of `packetEntryBytes`. */
  layout(): StructLayout;
  table(): InterfaceSlot[];
  /** Every interface of this network namespace. */
  interfaces(): NetworkInterface[];
  /**
   * Counts on this interface from now on.
   * @returns the mode, and why it is not native (empty when it is)
   */
  attach(index: number): { readonly mode: XdpMode; readonly nativeRefusal: string };
  /** Counts on this interface no more. */
  detach(index: number): void;
  /** Reads what the frozen epoch has counted, off the main loop; 200,000 keys take some 80 ms. Nothing is changed. */
  readFrozen(): Promise<FrozenPackets>;
  /** Copies entries of the last `readFrozen` into the buffer, from this one on; returns how many. */
  take(into: Uint8Array, from: number): number;
  /** Says, in one store, that the broker has everything of the frozen epoch. */
  acknowledge(acknowledged: AcknowledgedPackets): void;
  /** Makes room for the next epoch, off the main loop; after `acknowledge`. */
  clearFrozen(): Promise<void>;
  /** Keys in the map that is being written to. */
  fill(): number;
  /** Packets that no broker has acknowledged, filtered ones left out; walks both maps. */
  backlog(): number;
}

/** An entry of `take`: struct packet_key, and behind it at these offsets u64 packets and u64 bytes. */
export const packetEntryBytes = 64;
export const packetEntryCounts = { packets: 48, bytes: 56 } as const;

/** What a commit says of the records that it covers. */
export interface Committed {
  readonly acknowledged: number;
  readonly undecodable: number;
  /** Moved to the spool with this id. */
  readonly spooled: number;
  readonly spoolId: number;
  /** In the topic; any number when nothing was acknowledged. */
  readonly firstOffset: number;
  readonly lastOffset: number;
}

/** What became of the records that were moved to the spool, totals since attachId. */
export interface SpoolTotals {
  /** Of the spool that they were moved to; 0 leaves what is known. */
  readonly spoolId: number;
  readonly acknowledged: number;
  readonly evicted: number;
  readonly missing: number;
  /** In the topic; -1 leaves what is known. */
  readonly firstOffset: number;
  readonly lastOffset: number;
}

/** Records that wait for their reader. */
export interface EventRing {
  /** Copies the oldest unread records into the buffer; nothing is consumed. */
  read(into: Uint8Array, maxRecords: number): ReadResult;
  /** Lets the kernel reuse everything before `position`. */
  commit(position: number, committed: Committed): void;
  /**
   * Commits what a process that ended had moved to the spool and not committed; before the first `read`.
   * @returns false, with nothing done, when no complete record ends at `position`
   */
  rollForward(position: number, committed: Committed): boolean;
  /** Notes what became of records in the spool. */
  noteSpool(totals: SpoolTotals): void;
  /** Announces that the reader sleeps until `onWake`; false when there is something to read instead. */
  arm(): boolean;
  /** The callback runs on the main loop, once for each time that the armed reader is woken. */
  onWake(callback: () => void): void;
  status(): RingStatus;
  /** Records of `epoch` and before that wait between the consumer position and the producer position of its cut. */
  pending(epoch: number, producerPosition: number): number;
}

/** A ring that an earlier version wrote to, with another record layout; nothing comes any more. */
export interface EarlierRing extends EventRing {
  /** Of the struct that its records begin with. @throws Bpf2KafkaError ERR_PIN_LAYOUT once it is not known */
  layout(): StructLayout;
  /** Gives its memory back to the kernel; when it is empty. Its totals stay. */
  retire(): void;
}

/** One stream of events of a running capture, and its ring of whole records. */
export interface EventStream extends EventRing {
  /** What had no room in the ring of whole records: the beginning of each. Absent where there is no such ring. */
  readonly bare?: EventRing;
  /** Oldest first; those that were retired are among them, for their totals. */
  readonly earlier: readonly EarlierRing[];
  status(): StreamStatus;
  /** Records of all rings that no broker has acknowledged; walks them. */
  backlog(): number;
  /** Of the struct that a record begins with. */
  layout(): StructLayout;
}

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
