import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Ran } from './doc-commands.ts';
import { root } from './documents.ts';
import { CommandProcess } from './sidecar.ts';
import { waitFor } from './wait-for.ts';

/** A shell in which the commands of the documents run as they stand there, but for the names of hosts and directories. */
export class DocShell implements Disposable {
  /** Where commands run, as somebody does who tries them. */
  readonly directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-docs-'));
  readonly #names: Readonly<Record<string, string>>;

  /** @param names what stands in the documents for what there is here, as in `kafka-1:9092` */
  constructor(names: Readonly<Record<string, string>> = {}) {
    const etc = join(this.directory, 'etc');
    this.#names = { ...names, '/etc/bpf2kafka': etc };
    mkdirSync(etc);
    writeFileSync(join(etc, 'config.yaml'), `brokers: [${names['localhost:9092'] ?? 'localhost:9092'}]\n`);
    writeFileSync(join(etc, 'cgroups'), '/nowhere.slice\n');
    const bin = join(this.directory, 'bin');
    mkdirSync(bin);
    const program = `#!/bin/sh\nexec ${process.execPath} ${join(root, 'bin/bpf2kafka.js')} "$@"\n`;
    writeFileSync(join(bin, 'bpf2kafka'), program, { mode: 0o755 });
  }

  /** Runs a command and checks that it prints and ends as the table says. */
  async check(command: string, { exit, prints }: Ran, environment: Readonly<Record<string, string>> = {}) {
    const path = `${join(this.directory, 'bin')}:${process.env.PATH}`;
    const shell = ['bash', '-o', 'pipefail', '-c', `cd "$0" && ${this.#asHere(command)}`, this.directory];
    await using running = new CommandProcess([], { ...environment, PATH: path }, shell);
    const hasPrinted = () => linesOf(running).some((line) => prints?.test(line));
    if (exit === undefined) {
      await waitFor(() => running.ended || hasPrinted(), { what: `${command} prints ${prints}`, timeout: 60_000 });
      expect(running.ended, linesOf(running).join('\n')).toBe(false);
      expect(await running.end('SIGTERM')).toBe(0);
      return;
    }
    expect(await running.exit(), linesOf(running).join('\n')).toBe(exit);
    // What it has written comes behind the word that it has ended.
    if (prints !== undefined) await waitFor(hasPrinted, { what: `${command} prints ${prints}`, timeout: 5_000 });
  }

  #asHere(command: string): string {
    // Longer names first: one may begin with another.
    const names = Object.entries(this.#names).toSorted(([one], [other]) => other.length - one.length);
    return names.reduce((text, [name, here]) => text.replaceAll(name, here), command);
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** What it has printed to either stream. */
function linesOf({ lines, errors }: CommandProcess): string[] {
  return [...lines, ...errors.split('\n').filter((line) => line !== '')];
}
