import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../../test/support/wait-for.ts';
import { Child } from './children.ts';
import { atEnd } from './cleanup.ts';
import { auditPrograms } from './rivals.ts';
import { Unmeasurable } from './row.ts';

/** What everybody writes to see the execs of a host (auditctl(8)). */
const rule = ['always,exit', '-F', 'arch=b64', '-S', 'execve', '-k', 'bpf2kafka-bench'];

/** auditd with a rule for execve, in a directory of its own; the kernel's audit is as it was when it is disposed. */
export class Auditd implements AsyncDisposable {
  readonly #child: Child;
  readonly #cleanUp: Disposable;
  readonly #log: string;

  private constructor(child: Child, log: string, cleanUp: Disposable) {
    this.#child = child;
    this.#log = log;
    this.#cleanUp = cleanUp;
  }

  /** @throws Unmeasurable where somebody uses audit already, or where it is not for us */
  static async start(): Promise<Auditd> {
    const { auditd, auditctl } = auditPrograms();
    const control = (...words: string[]) => spawnSync(auditctl, words, { encoding: 'utf8' });
    const status = control('-s').stdout;
    if (!/^enabled 0$/m.test(status) || !/^pid 0$/m.test(status))
      throw new Unmeasurable(`audit of this kernel is in use already, or not for us: ${status.split('\n')[0]}`);
    const directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-bench-auditd-'));
    const log = join(directory, 'audit.log');
    // As packaged, but for the place.
    const settings = {
      ...{ log_file: log, log_format: 'ENRICHED', flush: 'INCREMENTAL_ASYNC', freq: 50, max_log_file: 1024 },
      ...{ space_left: 75, admin_space_left: 50 },
    };
    writeFileSync(
      join(directory, 'auditd.conf'),
      Object.entries(settings)
        .map(([name, value]) => `${name} = ${value}\n`)
        .join(''),
      { mode: 0o640 },
    );
    const child = new Child(auditd, ['-n', '-c', directory]);
    const cleanUp = atEnd(() => {
      control('-d', ...rule);
      control('-e', '0');
      rmSync(directory, { recursive: true, force: true });
    });
    const started = new Auditd(child, log, cleanUp);
    try {
      await waitFor(() => started.#isReceiving || child.ended, { what: 'auditd receives' });
      if (child.ended) throw new Error(`auditd ended with ${await child.exit()}: ${child.errors}`);
      const { status: refused, stderr } = control('-a', ...rule);
      if (refused !== 0) throw new Unmeasurable(`no rule for execve: ${stderr.trim()}`);
      return started;
    } catch (error) {
      await started[Symbol.asyncDispose]();
      throw error;
    }
  }

  get #isReceiving(): boolean {
    return existsSync(this.#log);
  }

  /** auditd, and the kernel's thread that sends to it. */
  get pids(): readonly number[] {
    return [this.#child.pid, ...kernelThreads('kauditd')];
  }

  /** Execs that are in its log. */
  get execs(): number {
    return readFileSync(this.#log, 'latin1').split('type=EXECVE ').length - 1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#child.ended) await this.#child.end('SIGTERM');
    this.#cleanUp[Symbol.dispose]();
    await this.#child[Symbol.asyncDispose]();
  }
}

function kernelThreads(name: string): number[] {
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  return pids.map(Number).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === name;
    } catch {
      return false; // it has ended meanwhile
    }
  });
}
