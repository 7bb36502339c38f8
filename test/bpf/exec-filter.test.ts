import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ExecFilters } from '../../src/exec-filters.ts';
import type { StreamCut } from '../../src/kernel/counts.ts';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import { CaptureReader, copyProgram, newToken, pokeWord, run, storm, tool, words } from '../support/capture.ts';
import { eachWithPinsAndDirectory } from '../support/capture-tests.ts';
import { HandMadeCgroup, Hierarchy, runIn } from '../support/cgroups.ts';

/** What rules keep out of the ring, and that every exec is either recorded or counted for one rule. */

const place = eachWithPinsAndDirectory();

const excluding = (excluded: Partial<ExecFilters>) => new CaptureReader(place.pinPath, undefined, { excluded });
const rules = (excluded: Partial<ExecFilters>): ExecFilters => ({ exes: [], uids: [], cgroups: [], ...excluded });
const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((all, count) => all + count, 0);

/** A copy of noop at this path below the test's directory. */
const program = (name: string) => copyProgram(tool('noop'), join(place.directory, name));

/** The only arguments of execs that have one, which begins with the token; those of what starts them have more. */
function tokensOf({ events }: CaptureReader, token: string): string[] {
  return events.flatMap(({ args }) => (args?.length === 2 && args[1]?.startsWith(token) ? [args[1]] : []));
}

/** The same, once an exec that no rule fits, and that comes last, is captured. */
async function recorded(reader: CaptureReader, token: string): Promise<string[]> {
  run(tool('noop'), [`${token}-end`]);
  await reader.find(({ args }) => args?.at(-1) === `${token}-end`, 'the end');
  return tokensOf(reader, token);
}

async function filtered(reader: CaptureReader): Promise<Readonly<Record<string, number>>> {
  return (await reader.capture.advanceEpoch()).exec.filtered;
}

/** Numbers that were given out and that no record has. */
function holes(events: readonly ExecEvent[], { attachId, nextSeq }: CaptureReader['status']): number {
  return nextSeq - attachId - new Set(events.map(({ seq }) => seq)).size;
}

describe('the file that runs', () => {
  test('is kept out by its whole path, and no other file is; nothing of it has a number', async () => {
    const excluded = program('a/tool');
    const others = [program('a/tool2'), program('a/too'), program('b/tool'), program('a/tool.d/tool')];
    using reader = excluding({ exes: [excluded] });
    const token = newToken();
    for (const path of [excluded, ...others, excluded, excluded]) run(path, [`${token}-${path}`]);
    expect(await recorded(reader, token)).toEqual([...others.map((path) => `${token}-${path}`), `${token}-end`]);
    expect(await filtered(reader)).toEqual({ [`exclude_exe:${excluded}`]: 3 });
    reader.read();
    expect(holes(reader.events, reader.status)).toBe(0);
  });

  test('is kept out by the beginning of its path', async () => {
    const beginning = join(place.directory, 'a/too*');
    const folder = join(place.directory, 'c/*');
    using reader = excluding({ exes: [beginning, folder] });
    const token = newToken();
    for (const name of ['a/tool', 'a/too', 'a/tools/x', 'a/to', 'c/x', 'c/d/x', 'cc'])
      run(program(name), [`${token}-${name}`]);
    expect(await recorded(reader, token)).toEqual([`${token}-a/to`, `${token}-cc`, `${token}-end`]);
    expect(await filtered(reader)).toEqual({ [`exclude_exe:${beginning}`]: 3, [`exclude_exe:${folder}`]: 2 });
  });

  test('counts for the longest rule', async () => {
    const [one, other] = [program('a/one'), program('a/other')];
    using reader = excluding({ exes: [join(place.directory, '*'), join(place.directory, 'a/*'), one] });
    run(one, []);
    run(other, []);
    run(program('x'), []);
    expect(await filtered(reader)).toEqual({
      [`exclude_exe:${one}`]: 1,
      [`exclude_exe:${join(place.directory, 'a/*')}`]: 1,
      [`exclude_exe:${join(place.directory, '*')}`]: 1,
    });
  });

  test('of a script it is the interpreter', async () => {
    const shell = program('shell');
    using reader = excluding({ exes: [shell] });
    const script = join(place.directory, 'script');
    run('sh', ['-c', `printf '#!%s\\n' '${shell}' >'${script}' && chmod 755 '${script}'`]);
    run(script, []);
    expect(await filtered(reader)).toEqual({ [`exclude_exe:${shell}`]: 1 });
  });

  test('has a path of 255 bytes at most for a whole path, and any for a beginning', async () => {
    const fill = (bytes: number) =>
      join(place.directory, 'x'.repeat(60), 'y'.repeat(60), 'z'.repeat(60)).padEnd(bytes, 'z');
    const [longest, longer] = [fill(255), `${fill(255)}z`].map((path) =>
      program(path.slice(place.directory.length + 1)),
    );
    const token = newToken();
    using reader = excluding({ exes: [longest as string] });
    run(longest as string, [`${token}-longest`]);
    run(longer as string, [`${token}-longer`]);
    expect(await recorded(reader, token)).toEqual([`${token}-longer`, `${token}-end`]);
    const beginning = `${fill(254)}*`;
    await reader.capture.exclude(rules({ exes: [beginning] }));
    run(longer as string, []);
    expect(await filtered(reader)).toEqual({ [`exclude_exe:${longest}`]: 1, [`exclude_exe:${beginning}`]: 1 });
  });
});

test('a user is kept out by the real id', async () => {
  using reader = excluding({ uids: [12_345] });
  const token = newToken();
  const path = program('tool');
  const as = (uid: string, ...words: string[]) => run('setpriv', [...words, '--clear-groups', path, `${token}-${uid}`]);
  as('12345', '--reuid=12345');
  as('12346', '--reuid=12346');
  as('effective', '--ruid=12347', '--euid=12345');
  expect(await recorded(reader, token)).toEqual([`${token}-12346`, `${token}-effective`, `${token}-end`]);
  expect(await filtered(reader)).toEqual({ 'exclude_uid:12345': 1 });
});

test('a cgroup is kept out with what is below it, and not what is beside it', async ({ skip }) => {
  const hierarchy = Hierarchy.open('unified');
  if ('whyNot' in hierarchy) return skip(hierarchy.whyNot);
  using _hierarchy = hierarchy;
  const name = `bpf2kafka-test-${process.pid}`;
  using excluded = new HandMadeCgroup(hierarchy, `/${name}/a`);
  using below = new HandMadeCgroup(hierarchy, `/${name}/a/b/c`);
  using beside = new HandMadeCgroup(hierarchy, `/${name}/aa`);
  using above = new HandMadeCgroup(hierarchy, `/${name}`);
  using reader = excluding({ cgroups: [`/${name}/a`] });
  const token = newToken();
  for (const [as, cgroup] of Object.entries({ excluded, below, beside, above }))
    runIn([cgroup], tool('noop'), [`${token}-${as}`]);
  expect(await recorded(reader, token)).toEqual([`${token}-beside`, `${token}-above`, `${token}-end`]);
  expect(await filtered(reader)).toEqual({ [`exclude_cgroup:/${name}/a`]: 2 });
});

test('what several rules fit counts for one of them: the user, then the file, then the cgroup', async ({ skip }) => {
  const hierarchy = Hierarchy.open('unified');
  if ('whyNot' in hierarchy) return skip(hierarchy.whyNot);
  using _hierarchy = hierarchy;
  using cgroup = new HandMadeCgroup(hierarchy, `/bpf2kafka-test-${process.pid}`);
  const path = program('tool');
  const name = `/bpf2kafka-test-${process.pid}`;
  using reader = excluding({ exes: [path], uids: [12_345], cgroups: [name] });
  runIn([cgroup], 'setpriv', ['--reuid=12345', '--clear-groups', path]);
  runIn([cgroup], path, []);
  expect(await filtered(reader)).toEqual({
    'exclude_uid:12345': 1,
    [`exclude_exe:${path}`]: 1,
    [`exclude_cgroup:${name}`]: 1, // setpriv
  });
});

describe('totals', () => {
  test('go on over restarts and other rules; without rules nothing is kept out', async () => {
    const [one, other] = [program('one'), program('other')];
    const names = [`exclude_exe:${one}`, `exclude_exe:${other}`] as const;
    const counts = async (excluded: Partial<ExecFilters>, change?: Partial<ExecFilters>) => {
      using reader = excluding(excluded);
      if (change !== undefined) await reader.capture.exclude(rules(change));
      run(one, []);
      run(other, []);
      return filtered(reader);
    };
    expect(await counts({})).toEqual({});
    expect(await counts({ exes: [one] })).toEqual({ [names[0]]: 1 });
    expect(await counts({ exes: [one] })).toEqual({ [names[0]]: 2 });
    expect(await counts({ exes: [one] }, { exes: [other] })).toEqual({ [names[0]]: 2, [names[1]]: 1 });
    expect(await counts({ exes: [one, other] }, {})).toEqual({ [names[0]]: 2, [names[1]]: 1 });
    expect(await counts({ exes: [one, other] })).toEqual({ [names[0]]: 3, [names[1]]: 2 });
  });

  test('begin at the upgrade of a capture that had no rules yet', async () => {
    excluding({}).close();
    unlinkSync(`${place.pinPath}/v1/exec_rules`);
    pokeWord(`${place.pinPath}/v1/g1/exec_ring_control`, words.ringControl.programHash, 1);
    const path = program('tool');
    using reader = excluding({ exes: [path] });
    expect(reader.status).toMatchObject({ resumed: true, replacedProgram: true });
    run(path, []);
    expect(await filtered(reader)).toEqual({ [`exclude_exe:${path}`]: 1 });
  });

  test('of more rules than there are entries are of their kind', async () => {
    const path = program('tool');
    using reader = excluding({ uids: Array.from({ length: 253 }, (_, n) => 100_000 + n) });
    await reader.capture.exclude(rules({ exes: [path, `${path}2`], uids: [100_001, 200_000] }));
    run(path, []);
    run(program('tool2'), []);
    for (const uid of [100_001, 200_000]) run('setpriv', [`--reuid=${uid}`, '--clear-groups', tool('noop')]);
    expect(await filtered(reader)).toEqual({ exclude_exe: 2, 'exclude_uid:100001': 1, exclude_uid: 1 });
  });
});

test('of rules that cannot be, none is taken, and the old ones hold', async () => {
  const path = program('tool');
  using reader = excluding({ exes: [path] });
  const { programHash } = reader.status;
  const wrong = rules({ uids: [7], exes: [`/${'x'.repeat(256)}`] });
  await expect(reader.capture.exclude(wrong)).rejects.toMatchObject({ code: 'ERR_ADDON' });
  run(path, []);
  expect(await filtered(reader)).toEqual({ [`exclude_exe:${path}`]: 1 });
  expect(reader.status.programHash).toBe(programHash);
  reader.close();
  expect(excluding({ exes: [path] }).status.replacedProgram).toBe(false);
});

test('rules change in a storm: every exec is recorded or counted once, and each epoch balances', async () => {
  const count = 4_000;
  const path = program('tool');
  using reader = new CaptureReader(place.pinPath, 32 * 1024 * 1024);
  const cuts: { readonly cut: StreamCut; readonly records: number }[] = [];
  const changes = [{ exes: [path] }, {}, { exes: [join(place.directory, '*')], uids: [4_242] }, {}];
  let changed = 0;
  const tokens: string[] = [];
  // As many as it takes to see both rules at work: a program is loaded for each change, which a busy machine does slowly.
  while (tokens.length < 6 && Object.keys(await filtered(reader)).length < 2) {
    tokens.push(newToken());
    const child = spawn(tool('spawn_storm'), [path, String(count), '2', tokens.at(-1) as string], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    while (child.exitCode === null) {
      await reader.capture.exclude(rules(changes[changed++ % changes.length] as Partial<ExecFilters>));
      const { epoch, exec: cut } = await reader.capture.advanceEpoch();
      // Nothing is committed: all records of the epoch and before wait.
      cuts.push({ cut, records: reader.capture.exec.pending(epoch, cut.producerPosition) });
    }
    expect(await ended).toEqual([0, null]);
  }
  await reader.capture.exclude(rules({}));
  const kept = await filtered(reader);
  const found = (await Promise.all(tokens.map((token) => recorded(reader, token))))
    .flat()
    .filter((last) => !last.endsWith('-end'));

  expect(new Set(found).size).toBe(found.length);
  expect(found.length + sum(kept)).toBe(tokens.length * count);
  expect(Object.keys(kept).sort()).toEqual([`exclude_exe:${join(place.directory, '*')}`, `exclude_exe:${path}`]);
  expect(found.length).toBeGreaterThan(0);
  for (const { cut, records } of cuts)
    expect(cut.entered - cut.fellThrough - cut.ringFull - cut.ringBusy - sum(cut.filtered)).toBe(records);
  expect(reader.status).toMatchObject({ fellThrough: 0, ringFull: 0, ringBusy: 0 });
  expect(holes(reader.events, reader.status)).toBe(0);
});

test('the storm of a rule that was there before leaves nothing in the ring', async () => {
  const path = tool('noop');
  using reader = excluding({ exes: [path] });
  const token = newToken();
  await storm(token, 500);
  expect(await filtered(reader)).toEqual({ [`exclude_exe:${path}`]: 500 });
  reader.read();
  expect(tokensOf(reader, token)).toEqual([]);
});
