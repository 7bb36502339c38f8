import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Unmeasurable } from './row.ts';

/** What the bench compares with, installed by itself where the distribution or Maven has it. */

const checkout = join(import.meta.dirname, '../..');
export const cacheDirectory = join(checkout, '.cache/bench');
const log = join(cacheDirectory, 'install.log');

function run(command: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}): boolean {
  mkdirSync(cacheDirectory, { recursive: true });
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: 600_000,
    env: { ...process.env, ...environment },
  });
  appendFileSync(log, `== ${command} ${args.join(' ')}\n${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}\n`);
  return status === 0;
}

function found(command: string): string | undefined {
  for (const directory of [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'])
    if (existsSync(join(directory, command))) return join(directory, command);
  return undefined;
}

/** A program of the distribution; the package is installed when it is not there. */
function programOf(command: string, packageName: string): string {
  const there = found(command);
  if (there !== undefined) return there;
  if (process.getuid?.() !== 0 || found('apt-get') === undefined)
    throw new Unmeasurable(`${command} is missing and can be installed only as root with apt: package ${packageName}`);
  const apt = ['-q', '-o', 'DPkg::Lock::Timeout=300'];
  const quiet = { DEBIAN_FRONTEND: 'noninteractive' };
  const install = [...apt, 'install', '-y', '--no-install-recommends', packageName];
  if (!run('apt-get', install, quiet)) {
    run('apt-get', [...apt, 'update'], quiet);
    run('apt-get', install, quiet);
  }
  const installed = found(command);
  if (installed === undefined)
    throw new Unmeasurable(`${command} could not be installed: package ${packageName} (see .cache/bench/install.log)`);
  return installed;
}

/** Of libbpf-tools, C and CO-RE as ours. */
export function execsnoop(): string {
  return programOf('execsnoop', 'libbpf-tools');
}

export function bpftool(): string {
  return programOf('bpftool', 'bpftool');
}

/** What hosts are watched with that have nothing newer; the package does not start it in a container. */
export function auditPrograms(): { readonly auditd: string; readonly auditctl: string } {
  return { auditd: programOf('auditd', 'auditd'), auditctl: programOf('auditctl', 'auditd') };
}

/** Version of the embedded broker. */
export function kafkaVersion(): string {
  const pom = readFileSync(join(checkout, 'scripts/kafka/pom.xml'), 'utf8');
  return /<kafka\.version>([^<]+)</.exec(pom)?.[1] as string;
}

/** Class path with org.apache.kafka.tools.ProducerPerformance: what kafka-producer-perf-test runs. */
export function kafkaTools(): string {
  const version = kafkaVersion();
  const directory = join(cacheDirectory, `kafka-tools-${version}`);
  if (!existsSync(directory)) {
    const unfinished = `${directory}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    const done = run('mvn', [
      ...['-B', '-ntp', '-f', join(import.meta.dirname, '../rivals/pom.xml'), 'dependency:copy-dependencies'],
      ...['-DincludeScope=runtime', `-Dkafka.version=${version}`, `-DoutputDirectory=${unfinished}`],
    ]);
    if (!done)
      throw new Unmeasurable(
        `org.apache.kafka:kafka-tools:${version} could not be downloaded (see .cache/bench/install.log)`,
      );
    renameSync(unfinished, directory);
  }
  return `${directory}/*`;
}

/** The Java runtime that set-up has found. */
export function java(): string {
  const link = join(checkout, '.cache/java');
  return existsSync(link) ? link : 'java';
}

const tools = join(import.meta.dirname, '../tools');

/** The output, made anew when it is not there or older than one of the sources. */
function compiled(output: string, sources: readonly string[], command: string): string {
  const path = join(cacheDirectory, output);
  mkdirSync(cacheDirectory, { recursive: true });
  const rule = `${path}: ${sources.join(' ')} ; ${command}`;
  if (!run('make', ['-s', '-f', '/dev/null', '--eval', rule, path]))
    throw new Unmeasurable(`${sources[0]} does not compile (see .cache/bench/install.log)`);
  return path;
}

/** A program of bench/tools. */
export function benchTool(name: 'spawn_argv'): string {
  return compiled(name, [join(tools, `${name}.c`)], 'cc -O2 -Wall -Wextra -Werror -o $@ $<');
}

/** One that calls libbpf. */
export function bpfTool(name: 'xdp_cost' | 'xdp_total' | 'map_walk'): string {
  return compiled(name, [join(tools, `${name}.c`)], 'cc -O2 -Wall -Wextra -Werror -o $@ $< -lbpf');
}

/** XDP programs that ours is compared with, compiled as it is (native/CMakeLists.txt). */
export function xdpRivals(): string {
  const headers = ['abi.h', 'parse.h'].map((name) => join(checkout, 'bpf', name));
  const settings = readFileSync(join(checkout, 'build/CMakeCache.txt'), 'utf8');
  const clang = /^BPF_CLANG:\w+=(.+)$/m.exec(settings)?.[1] as string;
  const flags = '-target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter';
  const command = `${clang} ${flags} -I/usr/include/$$(cc -print-multiarch) -c $< -o $@`;
  return compiled('xdp_rivals.bpf.o', [join(tools, 'xdp_rivals.bpf.c'), ...headers], command);
}
