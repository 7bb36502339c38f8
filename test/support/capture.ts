import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Enrichment } from '../../src/enrich/enrichment.ts';
import { Redactor } from '../../src/enrich/redact.ts';
import { Workloads } from '../../src/enrich/workload.ts';
import { type ExecFilters, noFilters } from '../../src/exec-filters.ts';
import {
  type Capture,
  type CaptureStatus,
  type Committed,
  detachPinned,
  type ExecArgs,
  openCapture,
} from '../../src/kernel/addon.ts';
import { WallClock } from '../../src/kernel/wall-clock.ts';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import { createExecTable, type ExecTable } from '../../src/sources/exec-fields.ts';
import { createExecRecordReader, type ExecRecordReader } from '../../src/sources/exec-record.ts';
import { patience, type WaitOptions, waitFor } from './wait-for.ts';

/** Tests of the kernel's side: what it recorded, as it is. */
const nothingAdded: Enrichment = {
  redactor: new Redactor({ defaults: false, patterns: [] }),
  users: { of: () => null },
  workloads: new Workloads({ of: () => ({ namespace: null, podName: null, containerName: null }) }),
  parents: { of: () => ({ exe: '', args: '' }), remember: () => {} },
};

/** What tests of the real kernel share. Every capture sees the execs of the whole host: tests know their own by token or pid. */

const bpffs = '/sys/fs/bpf';
const prefix = 'bpf2kafka-test-';

type Tool =
  | 'noop'
  | 'hold'
  | 'spawn_storm'
  | 'exec_with'
  | 'ring_poke'
  | 'packet_run'
  | 'packet_send'
  | 'xdp_hold'
  | 'kill_at_write'
  | 'kill_in_clear'
  | 'notify_listener';

/** The path of a program of test/tools. */
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
export interface CapturedRecord {
  readonly event: ExecEvent;
  /** The bytes that the kernel side wrote. */
  readonly bytes: Buffer;
}

export const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** What a commit says of that many records that all reached the broker. */
export function acknowledging(records: number): Committed {
  return { acknowledged: records, undecodable: 0, firstOffset: -1, lastOffset: -1 };
}

const readers = new Set<CaptureReader>();

/** One capture and everything that was read from it. */
export class CaptureReader implements Disposable {
  readonly pinPath: string;
  readonly capture: Capture;
  readonly records: CapturedRecord[] = [];
  /** Behind everything in `records`: what `commit` takes. */
  position = 0;
  readonly #reader: ExecRecordReader;
  readonly #table: ExecTable;
  readonly #buffer = Buffer.alloc(512 * 1024);
  #uncommitted = 0;

  constructor(
    pinPath: string,
    ringBytes = 4 * 1024 * 1024,
    {
      args = 'full',
      env = [],
      excluded = {},
    }: { args?: ExecArgs; env?: readonly string[]; excluded?: Partial<ExecFilters> } = {},
  ) {
    this.pinPath = pinPath;
    this.capture = openCapture(pinPath, ringBytes, {
      args,
      env: env.length > 0,
      excluded: { ...noFilters, ...excluded },
    });
    readers.add(this);
    const identity = { hostId: 'host', hostName: null, bootId, attachId: this.status.attachId };
    const layout = this.capture.execLayout();
    this.#reader = createExecRecordReader(layout);
    const clock = new WallClock(this.capture.clockOffsets());
    this.#table = createExecTable(layout, identity, clock, nothingAdded, env);
  }

  get status(): CaptureStatus {
    return this.capture.status();
  }

  get events(): ExecEvent[] {
    return this.records.map(({ event }) => event);
  }

  /** Reads what is complete; returns what is new. */
  read(): CapturedRecord[] {
    const fresh: CapturedRecord[] = [];
    for (;;) {
      const result = this.capture.read(this.#buffer, 1000);
      this.position = result.position;
      let at = 0;
      for (let i = 0; i < result.records; i += 1) {
        const length = this.#buffer.readUInt32LE(at);
        const bytes = Buffer.from(this.#buffer.subarray(at + 8, at + 8 + length));
        const record = this.#reader.recordAt(bytes, 0, length);
        if (record === undefined) throw new Error(`a record of ${length} bytes could not be decoded`);
        fresh.push({ event: this.#table.eventOf(record), bytes });
        at += 8 + Math.ceil(length / 8) * 8;
      }
      if (result.records === 0) break;
    }
    this.records.push(...fresh);
    this.#uncommitted += fresh.length;
    return fresh;
  }

  /** Commits everything that was read. */
  commit(): void {
    this.capture.commit(this.position, acknowledging(this.#uncommitted));
    this.#uncommitted = 0;
  }

  /** Reads until one of the records fits, however many execs of others come between. */
  find(fits: (event: ExecEvent) => boolean, what: string, options: Partial<WaitOptions> = {}): Promise<CapturedRecord> {
    return waitFor(
      () => {
        this.read();
        return this.records.find(({ event }) => fits(event));
      },
      { what: `${what} is captured`, ...options },
    );
  }

  close(): void {
    readers.delete(this);
    this.capture.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
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

/** Spawns `noop` `count` times, with the arguments `<token>-<n>`, and waits for all. */
export async function storm(token: string, count: number, workers = 2): Promise<void> {
  const child = spawn(tool('spawn_storm'), [tool('noop'), String(count), String(workers), token], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`spawn_storm ended with ${code}`);
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
