import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Flags } from '../../src/config/types.ts';
import { Bpf2KafkaError } from '../../src/errors.ts';
import { type Commands, main } from '../../src/main.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

async function call(words: string[], commands: Partial<Commands> = {}, environment: Record<string, string> = {}) {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const unexpected = async () => {
    throw new Error('another command was called');
  };
  const code = await main(
    words,
    environment,
    { stdout, stderr, stdoutClosed: new AbortController().signal },
    {
      run: unexpected,
      start: unexpected,
      attach: unexpected,
      check: unexpected,
      tail: unexpected,
      audit: unexpected,
      schema: unexpected,
      detach: unexpected,
      ...commands,
    },
  );
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: await text(stderr) };
}

describe('the command line', () => {
  test('only flags that were given are handed over, by their names', async () => {
    let seen: Flags = {};
    const run: Commands['run'] = async (flags) => {
      seen = flags;
      return 0;
    };
    await call(['run', '--brokers', 'a:1', '--create-topics', '--topic-prefix', ''], { run });
    expect(Object.fromEntries(Object.entries(seen).filter(([, value]) => value !== undefined))).toEqual({
      brokers: 'a:1',
      'create-topics': true,
      'topic-prefix': '',
    });
  });

  test('a repeatable flag is handed over as a list, a switch that is on by default only when it is switched off', async () => {
    const seen: Flags[] = [];
    const run: Commands['run'] = async (flags) => {
      seen.push(Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined)));
      return 0;
    };
    await call(['run', '--interface', 'eth0', '--interface', 'lo', '--exclude-ip', '10.0.0.0/8'], { run });
    await call(['run', '--no-packets'], { run });
    await call(['run'], { run });
    expect(seen).toEqual([{ interface: ['eth0', 'lo'], 'exclude-ip': ['10.0.0.0/8'] }, { 'no-packets': true }, {}]);
  });

  test('the exit code is the one of the command', async () => {
    expect((await call(['detach', '--discard'], { detach: async () => 3 })).code).toBe(3);
    expect((await call(['start'], { start: async () => 0 })).code).toBe(0);
    expect((await call(['tail', 'exec'], { tail: async () => 4 })).code).toBe(4);
  });

  test('schema hands its NAME over', async () => {
    const names: (string | undefined)[] = [];
    const schema: Commands['schema'] = async (name) => {
      names.push(name);
      return 0;
    };
    await call(['schema'], { schema });
    await call(['schema', 'exec-events'], { schema });
    expect(names).toEqual([undefined, 'exec-events']);
  });

  test('--version and --help print to standard output and end with 0', async () => {
    expect(await call(['--version'])).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string,
      stderr: '',
    });
    const help = await call(['--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toContain('bpf2kafka run --brokers');
    for (const command of ['run', 'start', 'attach', 'check', 'tail', 'schema', 'detach']) {
      const { code, stdout } = await call([command, '--help']);
      expect([code, stdout]).toEqual([0, expect.stringContaining(`Usage: bpf2kafka ${command}`)]);
    }
  });

  test.each([
    ['an unknown flag', ['run', '--brokrs', 'a:1'], "unknown option '--brokrs'; did you mean --brokers?"],
    ['a secret as a flag', ['run', '--sasl-password=hidden'], "unknown option '--sasl-password'"],
    ['a flag of a later version', ['run', '--no-fork'], "unknown option '--no-fork'"],
    ['an unknown command', ['rnu'], "unknown command 'rnu'; did you mean run?"],
    ['no command', [], "no command is given; 'bpf2kafka --help' lists them"],
    ['a word too many', ['run', 'now'], 'too many arguments'],
    ['a flag without its value', ['run', '--brokers'], 'argument missing'],
    ['tail without a stream', ['tail'], "missing required argument 'stream'"],
    ['tail of an unknown stream', ['tail', 'forks'], 'Allowed choices are exec, exit, packets, ledger'],
  ])('%s is one line on standard error and exit code 2', async (_name, words, message) => {
    const { code, stdout, stderr } = await call(words);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^bpf2kafka: [^\n]+\n$/);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('hidden');
  });
});

describe('errors', () => {
  const refuse = (error: unknown) => async () => {
    throw error;
  };
  test.each([
    ['ERR_CONFIG', 2],
    ['ERR_PERMISSION', 3],
    ['ERR_BROKER', 4],
  ] as const)('%s is one line and exit code %i', async (code, exitCode) => {
    const error = new Bpf2KafkaError(code, { operation: 'do it', reason: 'two\nlines' });
    expect(await call(['run'], { run: refuse(error) })).toEqual({
      code: exitCode,
      stdout: '',
      stderr: 'bpf2kafka: cannot do it: two lines\n',
    });
  });

  test('what nobody expected is one line and exit code 1, its stack only on request', async () => {
    const error = new TypeError('x is not a function');
    const { code, stderr } = await call(['run'], { run: refuse(error) });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^bpf2kafka: unexpected error: x is not a function [^\n]*\n$/);
    expect((await call(['run'], { run: refuse(error) }, { BPF2KAFKA_DEBUG: '1' })).stderr).toContain('    at ');
  });
});

describe('bin/bpf2kafka.js', () => {
  const script = join(root, 'bin', 'bpf2kafka.js');
  let directory: string;
  const children: ChildProcess[] = [];
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'bin-test-'));
  });
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(directory, { recursive: true });
  });

  /** A package with this script and a main of a few words; `node` stands in for another version. */
  function layout(name: string, parts: { src?: boolean; dist?: boolean; own?: string }): string {
    const base = join(directory, name);
    mkdirSync(join(base, 'bin'), { recursive: true });
    cpSync(script, join(base, 'bin', 'bpf2kafka.js'));
    writeFileSync(join(base, 'package.json'), '{"type":"module"}');
    const add = (file: string, content: string) => {
      mkdirSync(dirname(join(base, file)), { recursive: true });
      writeFileSync(join(base, file), content);
    };
    if (parts.src) add('src/main.ts', 'export const runProcess = async (): Promise<void> => console.log("source");');
    if (parts.dist) add('dist/main.js', 'export const runProcess = async () => console.log("built");');
    if (parts.own !== undefined) {
      add('node_modules/.bin/node', parts.own);
      chmodSync(join(base, 'node_modules/.bin/node'), 0o755);
    }
    return join(base, 'bin', 'bpf2kafka.js');
  }

  /** Makes the running Node.js look like another version to the script. */
  const old = () => {
    const preload = join(directory, 'old.cjs');
    writeFileSync(
      preload,
      'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "18.19.0" } });' +
        'delete process.env.NODE_OPTIONS;',
    );
    return ['--require', preload];
  };

  const start = (file: string, nodeFlags: string[] = [], words: string[] = []) =>
    spawnSync(process.execPath, [...nodeFlags, file, ...words], { encoding: 'utf8' });

  test('a checkout runs its sources', () => {
    expect(start(layout('checkout', { src: true, dist: true }))).toMatchObject({ stdout: 'source\n', status: 0 });
  });

  test('a checkout keeps what was compiled, a package does not write', () => {
    const { NODE_COMPILE_CACHE: _, ...env } = process.env;
    const kept = (file: string) => {
      spawnSync(process.execPath, [file], { env });
      return existsSync(join(dirname(dirname(file)), '.cache/compiled'));
    };
    expect(kept(layout('keeps', { src: true }))).toBe(true);
    expect(kept(layout('keeps-not', { dist: true }))).toBe(false);
  });

  test('a package runs what was built, sources beside it or not', () => {
    expect(start(layout('package', { dist: true }))).toMatchObject({ stdout: 'built\n', status: 0 });
    const installed = layout('node_modules/bpf2kafka', { src: true, dist: true });
    expect(start(installed)).toMatchObject({ stdout: 'built\n', status: 0 });
  });

  test('called through a link it finds the program', () => {
    const link = join(directory, 'link');
    symlinkSync(layout('linked', { src: true }), link);
    expect(start(link)).toMatchObject({ stdout: 'source\n', status: 0 });
  });

  test('nothing to run is one line and exit code 3', () => {
    const { status, stderr } = start(layout('empty', {}));
    expect([status, stderr]).toEqual([3, expect.stringMatching(/^bpf2kafka: .*main\.js is missing[^\n]*\n$/)]);
  });

  test('an old Node.js without another one is one line and exit code 3', () => {
    const { status, stderr } = start(layout('old', { src: true }), old());
    expect([status, stderr]).toEqual([
      3,
      expect.stringMatching(/^bpf2kafka: Node\.js 22\.22 or newer is needed, this is 18\.19\.0[^\n]*\n$/),
    ]);
  });

  test('an old Node.js in a checkout gives way to the one of the checkout', () => {
    const file = layout('respawn', { src: true, own: '#!/bin/sh\nshift\necho "own node: $*"\nexit 7\n' });
    expect(start(file, old(), ['run', 'a b'])).toMatchObject({ stdout: 'own node: run a b\n', status: 7 });
  });

  test('the one of the checkout that is too old itself ends with a line', () => {
    // Counts its runs and ends by itself: without the guard it would start itself for ever.
    const runs = join(directory, 'runs');
    const again = [
      '#!/bin/sh',
      `echo run >> ${runs}`,
      `[ $(wc -l < ${runs}) -gt 3 ] && exit 42`,
      `exec ${process.execPath} ${old().join(' ')} "$@"`,
      '',
    ].join('\n');
    expect(start(layout('loop', { src: true, own: again }), old())).toMatchObject({ status: 3 });
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s reaches the program, and its exit code comes back',
    async (signal) => {
      const own =
        '#!/bin/sh\ntrap "exit 9" INT TERM HUP\necho up\ni=0\nwhile [ $((i += 1)) -lt 100 ]; do sleep 0.1; done\n';
      const child = spawn(process.execPath, [...old(), layout(`signal-${signal}`, { src: true, own })], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      children.push(child);
      const code = new Promise((resolve) => child.on('exit', (exitCode) => resolve(exitCode)));
      await new Promise((resolve) => child.stdout.once('data', resolve));
      child.kill(signal);
      expect(await code).toBe(9);
    },
  );

  test('a program that a signal killed looks killed', () => {
    const file = layout('killed', { src: true, own: '#!/bin/sh\nkill -KILL $$\n' });
    expect(start(file, old()).signal).toBe('SIGKILL');
  });

  test.runIf(existsSync(join(root, 'node_modules', '.bin', 'node')))('the real program answers', () => {
    expect(start(script, [], ['schema'])).toMatchObject({
      stdout: expect.stringMatching(/^exec-events\n/) as string,
      stderr: '',
      status: 0,
    });
  });

  test('a reader that leaves early is no failure', async () => {
    const child = spawn(process.execPath, [script, 'schema', 'exec-events'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    const code = new Promise((resolve) => child.on('exit', (exitCode) => resolve(exitCode)));
    expect([await code, await text(child.stderr)]).toEqual([0, '']);
  });
});
