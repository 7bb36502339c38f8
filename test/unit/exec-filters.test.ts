import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { linksAmong, noFilters, parseCgroups, parseExe, parseUid, ruleNames } from '../../src/exec-filters.ts';

describe('a file that runs', () => {
  test.each([
    '/usr/bin/true',
    '/usr/bin/*',
    '/usr/bin/py*',
    '/*',
    '/opt/.*',
    '/opt/a b,c',
    `/${'x'.repeat(254)}`,
    `/${'x'.repeat(253)}*`,
  ])('%s is taken', (path) => {
    expect(parseExe(path)).toBe(path);
  });

  test.each([
    '',
    '*',
    '/',
    'true',
    './true',
    '/usr/bin/',
    '/usr//bin/true',
    '/usr/./bin/true',
    '/usr/../bin/true',
    '/usr/bin/..',
    '/usr/*/true',
    '/usr/bin/**',
    '/a\nb',
    '/a\0',
    `/${'x'.repeat(255)}`,
    `/${'ä'.repeat(128)}`,
    `/${'x'.repeat(254)}*`,
  ])('%j is refused', (path) => {
    expect(parseExe(path)).toBeUndefined();
  });
});

test.each([
  ['0', 0],
  ['1000', 1000],
  ['4294967294', 4_294_967_294],
  ['4294967295', undefined],
  ['-1', undefined],
  ['1.5', undefined],
  ['root', undefined],
  ['', undefined],
  ['99999999999', undefined],
])('the user %j is %s', (text, uid) => {
  expect(parseUid(text)).toBe(uid);
});

describe('a list of cgroups', () => {
  test('has a path a line, with comments and empty lines, each path once', () => {
    const content =
      '# noise\n\n/system.slice/cron.service\r\n  /user.slice/ \n/system.slice/cron.service\n#/not.this\n/a b';
    expect(parseCgroups(content)).toEqual({ cgroups: ['/system.slice/cron.service', '/user.slice', '/a b'] });
    expect(parseCgroups('')).toEqual({ cgroups: [] });
    expect(parseCgroups(`/${'x'.repeat(253)}`)).toMatchObject({ cgroups: [expect.any(String)] });
  });

  test.each([
    ['/', /not \/ itself/],
    ['system.slice', /absolute path/],
    ['/a//b', /without empty/],
    ['/a/../b', /without empty/],
    ['/a*', /absolute path/],
    [`/${'x'.repeat(254)}`, /at most 254 bytes/],
    ['/sys/fs/cgroup/system.slice', /no \/sys\/fs\/cgroup/],
  ])('with %j is refused, and the line named', (wrong, allowed) => {
    expect(parseCgroups(`/right\n# comment\n${wrong}\n`)).toEqual({
      line: 3,
      allowed: expect.stringMatching(allowed) as string,
    });
  });
});

test('rules have the names that stand in the ledger', () => {
  expect(ruleNames(noFilters)).toEqual([]);
  expect(ruleNames({ exes: ['/usr/bin/*'], uids: [7], cgroups: ['/a'] })).toEqual([
    'exclude_exe:/usr/bin/*',
    'exclude_uid:7',
    'exclude_cgroup:/a',
  ]);
});

test('of files those are links that lead to another name, by themselves or by their directory', () => {
  const directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-'));
  const at = (name: string) => join(directory, name);
  try {
    writeFileSync(at('file'), '');
    symlinkSync('file', at('link'));
    symlinkSync('.', at('self'));
    symlinkSync('nowhere', at('dangling'));
    const exes = ['file', 'link', 'self/file', 'dangling', 'absent', 'li*'].map(at);
    expect(linksAmong({ ...noFilters, exes })).toEqual([
      { exe: at('link'), leadsTo: at('file') },
      { exe: at('self/file'), leadsTo: at('file') },
    ]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
