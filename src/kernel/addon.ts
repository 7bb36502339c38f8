import { createRequire } from 'node:module';
import { Bpf2KafkaError, type ErrorCode } from '../errors.ts';
import type { StructLayout } from './layout.ts';

/**
 * The typed contract of the native addon (native/addon.cpp), and the only place that loads it. What goes
 * in is checked here; what fails inside comes out as a Bpf2KafkaError.
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

/** Counters of the kernel and of the reader, since attachId. */
export interface CaptureStatus {
  /** The capture was pinned before this process came. */
  readonly resumed: boolean;
  /** The program of an earlier version was replaced by this one's. */
  readonly replacedProgram: boolean;
  /** Microseconds since boot at which the pins were created. */
  readonly attachId: number;
  readonly epoch: number;
  readonly nextSeq: number;
  readonly entered: number;
  readonly fellThrough: number;
  readonly ringFull: number;
  readonly ringBusy: number;
  readonly acknowledged: number;
  readonly undecodable: number;
  readonly corrupt: number;
  readonly corruptBytes: number;
  /** Records that no broker has acknowledged. */
  readonly backlog: number;
  readonly waitingBytes: number;
  readonly ringBytes: number;
  readonly highWaterBytes: number;
}

/** From `fromBootMicros` on, microseconds since 1970 = microseconds since boot + `realtimeMinusBootMicros`. */
export interface ClockOffset {
  readonly fromBootMicros: number;
  readonly realtimeMinusBootMicros: number;
}

/** A running capture; the process that holds it is the owner of the pins. */
export interface Capture {
  /** Copies the oldest unread records into the buffer; nothing is consumed. */
  read(into: Uint8Array, maxRecords: number): ReadResult;
  /** Lets the kernel reuse everything before `position`. */
  commit(position: number, acknowledged: number, undecodable: number): void;
  /** Announces that the reader sleeps until `onWake`; false when there is something to read instead. */
  arm(): boolean;
  /** The callback runs on the main loop, once for each time that the armed reader is woken. */
  onWake(callback: () => void): void;
  status(): CaptureStatus;
  /** Oldest first, never empty. */
  clockOffsets(): ClockOffset[];
  /** Notes a new clock offset when wall time was set or has drifted by more than 5 ms. */
  syncClock(): void;
  execLayout(): StructLayout;
  /** Ends the capturing and waits for runs that had begun; what was captured stays readable. Blocks some 10 ms. */
  detach(): void;
  /** Removes every pin, and with them what was not committed. */
  unpin(): void;
  /** Gives the ownership up; the pins stay. May be called twice. */
  close(): void;
}

interface NativeAddon {
  Capture: new (pinPath: string, ringBytes: number) => Capture;
  detach(pinPath: string, discard: boolean): number;
}

const addonPath = '../../build/Release/bpf2kafka.node';

let loaded: NativeAddon | undefined;

function addon(): NativeAddon {
  try {
    loaded ??= createRequire(import.meta.url)(addonPath) as NativeAddon;
    return loaded;
  } catch (error) {
    throw new Bpf2KafkaError('ERR_ADDON', {
      operation: 'load the native addon',
      reason: error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error),
      remedy: 'build it with `npm run setup`',
      cause: error,
    });
  }
}

const remedies: Partial<Record<ErrorCode, string>> = {
  ERR_PERMISSION: 'run it as root, or with CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_PTRACE',
  ERR_OWNED: 'stop that one first; one process reads the records of a host',
  ERR_PIN_LAYOUT:
    'stop the capture with `bpf2kafka detach` of the version that began it; `--discard` gives up what it had not published',
  ERR_KERNEL_UNSUPPORTED: 'run it on Linux 5.15 or newer with BTF',
  ERR_MOUNT: 'mount it first: mount -t bpf bpf /sys/fs/bpf',
  ERR_BACKLOG: 'publish them with `bpf2kafka run --on-exit detach`, or give them up with `--discard`',
};

/** Calls into the addon; its failures carry code, operation, subject and errno. */
function translated<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    const native = error as Error & { code?: ErrorCode; operation?: string; subject?: string; errno?: number };
    if (native.operation === undefined || native.code === undefined) throw error;
    throw new Bpf2KafkaError(native.code, {
      operation: native.operation,
      ...(native.subject ? { subject: native.subject } : {}),
      reason: native.message.replace(/\s*\n\s*/g, '; '),
      ...(remedies[native.code] === undefined ? {} : { remedy: remedies[native.code] as string }),
      ...(native.errno ? { errno: native.errno } : {}),
      cause: error,
    });
  }
}

/** Smallest ring that a longest record fits, bytes. */
export const minimumRingBytes = 64 * 1024;

/**
 * Begins a capture or takes over the pinned one, with what it had not published.
 * @param pinPath a directory on a bpffs
 * @param ringBytes for a new capture: a power of two, at least 64 KiB
 */
export function openCapture(pinPath: string, ringBytes: number): Capture {
  const powerOfTwo = Number.isInteger(Math.log2(ringBytes));
  if (!powerOfTwo || ringBytes < minimumRingBytes || ringBytes > 2 ** 31)
    throw new Bpf2KafkaError('ERR_CONFIG', {
      operation: 'make a ring buffer of',
      subject: `${ringBytes} bytes`,
      reason: `it must be a power of two from ${minimumRingBytes} to ${2 ** 31}`,
    });
  return translated(() => new (addon().Capture)(pinPath, ringBytes));
}

/**
 * Removes a pinned capture that nobody owns.
 * @returns records thrown away, or undefined when nothing was pinned
 */
export function detachPinned(pinPath: string, discard: boolean): number | undefined {
  const discarded = translated(() => addon().detach(pinPath, discard));
  return discarded < 0 ? undefined : discarded;
}
