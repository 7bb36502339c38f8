import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Enrichment } from '../../src/enrich/enrichment.ts';
import { Redactor } from '../../src/enrich/redact.ts';
import { Workloads } from '../../src/enrich/workload.ts';
import { type ExecFilters, noFilters } from '../../src/exec-filters.ts';
import { type Capture, type CaptureStatus, detachPinned, type ExecArgs, openCapture } from '../../src/kernel/addon.ts';
import type { StreamCut } from '../../src/kernel/counts.ts';
import type { Committed, EventRing, EventStream, StreamStatus } from '../../src/kernel/event-ring.ts';
import { openLearnedTable } from '../../src/kernel/record-writer.ts';
import { WallClock } from '../../src/kernel/wall-clock.ts';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import type { ExitEvent } from '../../src/schemas/exit-event.ts';
import type { CaptureIdentity } from '../../src/sources/capture-identity.ts';
import { createExecTable } from '../../src/sources/exec-fields.ts';
import { createExecRecordReader } from '../../src/sources/exec-record.ts';
import { createExitTable } from '../../src/sources/exit-fields.ts';
import { createExitRecordReader } from '../../src/sources/exit-record.ts';
import type { RecordReader } from '../../src/sources/kernel-record.ts';
import { programImage } from '../../src/sources/parent-program.ts';
import type { RecordTable } from '../../src/sources/record-table.ts';
import { patience, type WaitOptions, waitFor } from './wait-for.ts';

/** Tests of the kernel's side: what it recorded, as it is. */
const nothingAdded: Enrichment = {
  redactor: new Redactor({ defaults: false, patterns: [] }),
  users: { version: '', of: () => null },
  workloads: new Workloads({ of: () => ({ namespace: null, podName: null, containerName: null }) }),
  parents: {
    programs: openLearnedTable({ entries: 2, bytes: 2_000 }),
    of: () => programImage('', []),
    remember: () => {},
    noteRemembered: () => {},
  },
};

/** What tests of the real kernel share. Every capture sees the execs of the whole host: tests know their own by token or pid. */

const bpffs = '/sys/fs/bpf';
const prefix = 'bpf2kafka-test-';

type Tool =
  | 'noop'
  | 'hold'
  | 'spawn_storm'
  | 'exec_with'
  | 'exit_with'
  | 'ring_poke'
  | 'packet_run'
  | 'packet_send'
  | 'xdp_hold'
  | 'kill_at_write'
  | 'kill_in_clear'
  | 'notify_listener'
  | 'stepped_clock.so'
  | 'with_seccomp';

/** The path of a program of test/tools, or of what is loaded into others. */
export function tool(name: Tool): string {
  return join(import.meta.dirname, '../../build/Release', name);
}

/** Why this machine cannot capture, for `ctx.skip`; undefined when it can. */
export function whyNoCapture(): string | undefined {
  if (process.getuid?.() !== 0) return 'loading BPF programs needs root';
  if (!existsSync('/sys/kernel/btf/vmlinux')) return 'this kernel has no BTF';
  return undefined;
}

let pinPaths = 0;

/** A pin directory that no other process or test uses. Its name carries this process, for `removeLeftovers`. */
export function newPinPath(): string {
  return `${bpffs}/${prefix}${process.pid}-${pinPaths++}`;
}

/** Detaches and removes whatever is below the path, also what this version does not know. */
export function removePins(pinPath: string): void {
  try {
    detachPinned(pinPath, true);
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_OWNED') throw error;
    rmSync(pinPath, { recursive: true, force: true });
  }
}

/**
 * Removes what killed test runs left pinned, and returns their names. A path of `newPinPath` stays when the process in
 * its name still runs, or when any process owns it; others are not ours.
 */
export function removeLeftovers(): string[] {
  if (!existsSync(bpffs)) return [];
  const removed: string[] = [];
  for (const name of readdirSync(bpffs)) {
    if (!name.startsWith(prefix)) continue;
    const pid = Number(name.slice(prefix.length).split('-')[0]);
    if (!Number.isInteger(pid) || existsSync(`/proc/${pid}`)) continue;
    try {
      removePins(join(bpffs, name));
      removed.push(name);
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_OWNED') throw error;
    }
  }
  return removed;
}

/** A record as it came out of the ring. */
export interface CapturedRecord<Event> {
  readonly event: Event;
  /** The bytes that the kernel side wrote. */
  readonly bytes: Buffer;
  readonly bare: boolean;
}

export const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** What a commit says of that many records that all reached the broker. */
export function acknowledging(records: number): Committed {
  return { acknowledged: records, undecodable: 0, spooled: 0, spoolId: 0, firstOffset: -1, lastOffset: -1 };
}

/** The rings of one stream and everything that was read from them. */
export class RingReader<Event> {
  readonly records: CapturedRecord<Event>[] = [];
  /** Behind everything in `records` that is whole: what `commit` takes. */
  position = 0;
  /** The same of the ring of bare records. */
  barePosition = 0;
  readonly #stream: EventStream;
  readonly #reader: RecordReader;
  readonly #table: Pick<RecordTable<Event>, 'eventOf'>;
  readonly #buffer = Buffer.alloc(512 * 1024);
  #uncommitted = { whole: 0, bare: 0 };

  constructor(stream: EventStream, reader: RecordReader, table: Pick<RecordTable<Event>, 'eventOf'>) {
    this.#stream = stream;
    this.#reader = reader;
    this.#table = table;
  }

  get events(): Event[] {
    return this.records.map(({ event }) => event);
  }

  /** Reads what is complete; returns what is new, the whole records first. */
  read(): CapturedRecord<Event>[] {
    const whole = this.#readRing(this.#stream);
    this.position = whole.position;
    this.#uncommitted.whole += whole.fresh.length;
    const fresh = [...whole.fresh];
    if (this.#stream.bare !== undefined) {
      const bare = this.#readRing(this.#stream.bare);
      this.barePosition = bare.position;
      this.#uncommitted.bare += bare.fresh.length;
      fresh.push(...bare.fresh);
    }
    this.records.push(...fresh);
    return fresh;
  }

  #readRing(ring: EventRing): { fresh: CapturedRecord<Event>[]; position: number } {
    const fresh: CapturedRecord<Event>[] = [];
    for (;;) {
      const { records, position } = ring.read(this.#buffer, 1000);
      let at = 0;
      for (let i = 0; i < records; i += 1) {
        const length = this.#buffer.readUInt32LE(at);
        const bytes = Buffer.from(this.#buffer.subarray(at + 8, at + 8 + length));
        const record = this.#reader.recordAt(bytes, 0, length);
        if (record === undefined) throw new Error(`a record of ${length} bytes could not be decoded`);
        fresh.push({ event: this.#table.eventOf(record), bytes, bare: record.bare });
        at += 8 + Math.ceil(length / 8) * 8;
      }
      if (records === 0) return { fresh, position };
    }
  }

  /** Commits everything that was read. */
  commit(): void {
    this.#stream.commit(this.position, acknowledging(this.#uncommitted.whole));
    this.#stream.bare?.commit(this.barePosition, acknowledging(this.#uncommitted.bare));
    this.#uncommitted = { whole: 0, bare: 0 };
  }

  /** Records of an epoch and before that wait in the rings. */
  pending(epoch: number, { producerPosition, bareProducerPosition }: StreamCut): number {
    const bare = this.#stream.bare?.pending(epoch, bareProducerPosition) ?? 0;
    return this.#stream.pending(epoch, producerPosition) + bare;
  }

  /** Reads until one of the records fits, however many events of others come between. */
  find(
    fits: (event: Event) => boolean,
    what: string,
    options: Partial<WaitOptions> = {},
  ): Promise<CapturedRecord<Event>> {
    return waitFor(
      () => {
        this.read();
        return this.records.find(({ event }) => fits(event));
      },
      { what: `${what} is captured`, ...options },
    );
  }
}

const readers = new Set<CaptureReader>();

/** One capture, and the rings of its execs. */
export class CaptureReader extends RingReader<ExecEvent> implements Disposable {
  readonly pinPath: string;
  readonly capture: Capture;

  constructor(
    pinPath: string,
    ringBytes = 4 * 1024 * 1024,
    {
      args = 'full',
      env = [],
      failed = false,
      excluded = {},
      exitRingBytes,
      orphanAfterMillis = 0,
    }: {
      args?: ExecArgs;
      env?: readonly string[];
      failed?: boolean;
      excluded?: Partial<ExecFilters>;
      exitRingBytes?: number;
      orphanAfterMillis?: number;
    } = {},
  ) {
    const capture = openCapture(pinPath, ringBytes, {
      args,
      env: env.length > 0,
      failed,
      excluded: { ...noFilters, ...excluded },
      exitRingBytes,
      orphanAfterMillis,
    });
    const layout = capture.exec.layout();
    super(
      capture.exec,
      createExecRecordReader(layout),
      createExecTable(layout, identityOf(capture), clockOf(capture), nothingAdded, env),
    );
    this.pinPath = pinPath;
    this.capture = capture;
    readers.add(this);
  }

  /** The ring of the exits, which are captured when the ring was given a size. */
  exits(): RingReader<ExitEvent> {
    const { exit } = this.capture;
    if (exit === undefined) throw new Error('exits are not captured');
    const layout = exit.layout();
    const table = createExitTable(layout, identityOf(this.capture), clockOf(this.capture), nothingAdded);
    return new RingReader(exit, createExitRecordReader(layout), table);
  }

  /** Of the capture and of its execs. */
  get status(): CaptureStatus & StreamStatus {
    return { ...this.capture.status(), ...this.capture.exec.status() };
  }

  close(): void {
    readers.delete(this);
    this.capture.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const clockOf = (capture: Capture) => new WallClock(capture.clockOffsets());

function identityOf(capture: Capture): CaptureIdentity {
  return { hostId: 'host', hostName: null, bootId, attachId: capture.status().attachId };
}

/** Runs a program to its end, fails when it fails, and returns its pid and output. */
export function run(program: string, args: readonly string[], options: { cwd?: string; argv0?: string } = {}) {
  const { pid, status, signal, stdout, stderr, error } = spawnSync(program, args, {
    ...options,
    encoding: 'utf8',
    timeout: 20_000 * patience,
  });
  if (error !== undefined || status !== 0)
    throw new Error(`${basename(program)} ended with ${status ?? signal}: ${stderr}`, { cause: error });
  return { pid, stdout };
}

/** Spawns `noop`, or a copy, `count` times, with the arguments `<token>-<n>`, and waits for all. */
export async function storm(token: string, count: number, workers = 2, program = tool('noop')): Promise<void> {
  const child = spawn(tool('spawn_storm'), [program, String(count), String(workers), token], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`spawn_storm ended with ${code}`);
}

/** Makes a copy that everyone may run, so that it has a path of its own; returns the path. */
export function copyProgram(from: string, to: string): string {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
  chmodSync(to, 0o755);
  return to;
}

let tokens = 0;

/** An argument by which a test knows the execs that it caused. */
export function newToken(): string {
  return `token-${process.pid}-${tokens++}`;
}

const others = new Set<ChildProcess>();

/** Closes each reader and kills what `startOther` began: a test that failed, or was given up, leaves them behind. */
export function endEverything(): void {
  for (const reader of readers) reader.close();
  for (const child of others) child.kill('SIGKILL');
}

/** Another process that runs a script with `openCapture`, `openPackets`, `detachPinned` and `pinPath` in scope. */
export function startOther(script: string, pinPath: string, command: readonly string[] = [process.execPath]) {
  const addon = join(import.meta.dirname, '../../src/kernel/addon.ts');
  const source = `
    const { openCapture, openPackets, detachPinned } = await import(${JSON.stringify(addon)});
    const pinPath = ${JSON.stringify(pinPath)};
    try { ${script} } catch (error) {
      console.log(JSON.stringify({ code: error.code, message: error.message, exitCode: error.exitCode }));
      process.exitCode = 9;
    }`;
  const [program, ...args] = [...command, '--input-type=module', '-e', source];
  const child = spawn(program as string, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  others.add(child);
  child.once('exit', () => others.delete(child));
  const exited = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  return {
    child,
    exited,
    get stdout() {
      return stdout;
    },
    get stderr() {
      return stderr;
    },
    /** Resolves with what it printed, once that has the text in it. */
    printed: (text: string) =>
      waitFor(() => (stdout.includes(text) ? stdout : false), { what: `the other process prints ${text} (${stderr})` }),
  };
}

/** What a script that must fail threw. */
export async function failureOf(script: string, pinPath: string, command?: readonly string[]) {
  const other = startOther(script, pinPath, command);
  const [code, signal] = await other.exited;
  if (code !== 9) throw new Error(`the script ended with ${code ?? signal}: ${other.stdout} ${other.stderr}`);
  return JSON.parse(other.stdout) as { code: string; message: string; exitCode: number };
}

/** Words of the pinned control structs (bpf/abi.h), as byte offsets: for states that only a forger makes. */
export const words = {
  host: { complete: 8 },
  ringControl: { layoutHash: 0, programHash: 8, commits: [128, 256] },
} as const;

/** Writes a word of a pinned map. */
export function pokeWord(pin: string, offset: number, value: number): void {
  run(tool('ring_poke'), [pin, 'u64', String(offset), String(value)]);
}

/** Writes the consumer position of a pinned ring. */
export function pokeConsumer(pinPath: string, position: number): void {
  run(tool('ring_poke'), [`${pinPath}/v1/g1/exec_ring`, 'consumer', String(position)]);
}
