import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestProjectInlineConfiguration } from 'vitest/config';
import { type BootPanic, inGuest } from './pool.ts';

/** What runs where. `all` marks what only `npm run test:kernels -- --all` runs. */
interface Machine {
  readonly series: string;
  /** The storms also with a kernel that preempts everywhere: `switched` to it behind all others, or `booted` so for all. */
  readonly preemption?: 'switched' | 'booted';
  /** The compiler of the kernel programs; else the one of the checkout's own build, the newest. */
  readonly clang?: '14';
  /** Else all of what an emulated machine gets. */
  readonly tests?: 'refusal';
  readonly all?: true;
}

/** Each kernel with the objects of one compiler; for `--all` of both. */
const machines: readonly Machine[] = [
  { series: '5.10', tests: 'refusal' },
  { series: '6.1', clang: '14' },
  { series: '6.1', all: true },
  { series: '6.12', preemption: 'switched' },
  { series: '6.12', preemption: 'booted', clang: '14', all: true },
  { series: '6.18' },
  { series: '6.18', clang: '14', all: true },
  { series: '7.3', preemption: 'switched', clang: '14' },
  { series: '7.3', preemption: 'booted', all: true },
];

const cache = join(import.meta.dirname, '../../.cache/kernels');
const kernels = process.env.BPF2KAFKA_KERNELS ?? cache;
const wanted = process.env.BPF2KAFKA_KERNELS_TESTS;

/**
 * A project of vitest for each machine, behind those of the given group. BPF2KAFKA_TEST_KERNELS says which run this is:
 * `alone`, that of the machines; `beside`, that of the host, which begins the one of the machines (beside.ts), and `behind`,
 * that one. Without it there are no machines, as a name of a file in test/bpf asks for none.
 * @param panics gets those of kernels that were booted once more
 */
export function kernelProjects(groupOrder: number, panics: BootPanic[]): TestProjectInlineConfiguration[] {
  if (!['alone', 'behind'].includes(process.env.BPF2KAFKA_TEST_KERNELS ?? '')) return [];
  return machines
    .filter(({ all }) => wanted === 'all' || !all)
    .map((machine) => projectOf(machine, groupOrder, panics));
}

function projectOf(machine: Machine, groupOrder: number, panics: BootPanic[]): TestProjectInlineConfiguration {
  const { series, preemption, clang } = machine;
  const booted = preemption === 'booted' ? ['preempt=full'] : [];
  const words = [`linux ${series}`, ...booted, ...(clang ? [`clang ${clang}`] : [])];
  const name = words.join(', ');
  const reason = whyNot(machine);
  return {
    test: {
      name,
      include: [`test/kernels/${reason === undefined ? 'guest' : 'unavailable'}.test.ts`],
      env: {
        BPF2KAFKA_TEST_PATIENCE: '10',
        BPF2KAFKA_KERNELS_TESTS: machine.tests ?? wanted ?? '',
        BPF2KAFKA_KERNELS_PREEMPTION: preemption ?? '',
        BPF2KAFKA_KERNEL_UNAVAILABLE: reason ?? '',
      },
      pool: reason === undefined ? inGuest(name, guestOf(machine), panics) : 'forks',
      // Two machines at a time: an emulated one keeps about one core busy.
      maxWorkers: 2,
      sequence: { groupOrder },
      testTimeout: 300_000,
      hookTimeout: 300_000,
      retry: 0,
    },
  };
}

const imageOf = (series: string) => join(kernels, series, 'vmlinuz');
const buildOf = (clang: string) => join(cache, `clang-${clang}`);

function guestOf({ series, preemption, clang }: Machine) {
  return {
    image: imageOf(series),
    initramfs: join(cache, `${series}.initramfs`),
    ...(preemption === 'booted' ? { parameters: 'preempt=full' } : {}),
    ...(clang === undefined ? {} : { build: buildOf(clang) }),
  };
}

function whyNot({ series, clang }: Machine): string | undefined {
  const unavailable = join(cache, 'unavailable');
  if (existsSync(unavailable)) return readFileSync(unavailable, 'utf8').trim();
  if (!existsSync(imageOf(series))) return `${kernels} has no kernel ${series}`;
  if (clang !== undefined && !existsSync(buildOf(clang))) return `clang-${clang} is not there`;
  return undefined;
}
