import { describe, expect, test } from 'vitest';
import { reloadOnHangup } from '../../../src/commands/reload.ts';
import { loadRunConfig } from '../../../src/config/load.ts';
import type { RunConfig } from '../../../src/config/types.ts';
import { type ExecFilters, noFilters } from '../../../src/exec-filters.ts';
import { fakeLog, settle } from '../producers/fakes.ts';

const facts = { processors: 1, hostName: 'h', machineId: '0123456789abcdef0123456789abcdef' };
const flags = { brokers: 'a:1', redact: ['x[0-9]+'] };
const load = (more: Record<string, string> = {}) => loadRunConfig('run', { ...flags, ...more }, {}, facts);

/** What SIGHUP does: `file` is what the settings say when they are read, `excluded` what came into force. */
function setUp() {
  const file = { read: () => load() as RunConfig };
  const excluded: ExecFilters[] = [];
  const kernel = { exclude: async (_filters: ExecFilters): Promise<void> => {} };
  const { log, lines } = fakeLog();
  const exclude = async (filters: ExecFilters) => {
    await kernel.exclude(filters);
    excluded.push(filters);
  };
  const before = process.listenerCount('SIGHUP');
  const reload = reloadOnHangup({ config: load(), reread: () => file.read(), exclude, log });
  expect(process.listenerCount('SIGHUP')).toBe(before + 1);
  const hangUp = async () => {
    process.emit('SIGHUP', 'SIGHUP');
    await settle();
  };
  return { file, excluded, kernel, lines, hangUp, reload };
}

describe('SIGHUP', () => {
  test('puts the new rules in force and says what has changed', async () => {
    const { file, excluded, lines, hangUp, reload } = setUp();
    using _reload = reload;
    file.read = () => load({ 'exclude-exe': '/a', 'exclude-uid': '1,2' });
    await hangUp();
    file.read = () => load({ 'exclude-uid': '2,3' });
    await hangUp();
    expect(excluded).toEqual([
      { exes: ['/a'], uids: [1, 2], cgroups: [] },
      { exes: [], uids: [2, 3], cgroups: [] },
    ]);
    expect(lines).toMatchObject([
      { level: 'info', fields: { added: ['exclude_exe:/a', 'exclude_uid:1', 'exclude_uid:2'], removed: [], rules: 3 } },
      { level: 'info', fields: { added: ['exclude_uid:3'], removed: ['exclude_exe:/a', 'exclude_uid:1'], rules: 2 } },
    ]);
  });

  test('leaves everything as it is when the rules are the same', async () => {
    const { excluded, lines, hangUp, reload } = setUp();
    using _reload = reload;
    await hangUp();
    expect(excluded).toEqual([]);
    expect(lines).toMatchObject([{ level: 'info', message: expect.stringContaining('as they were') as string }]);
  });

  test('refuses settings that are wrong with one line, and takes the next ones', async () => {
    const { file, excluded, lines, hangUp, reload } = setUp();
    using _reload = reload;
    file.read = () => load({ 'exclude-exe': 'a' });
    await hangUp();
    expect(excluded).toEqual([]);
    expect(lines).toMatchObject([
      {
        level: 'error',
        fields: { reason: expect.stringMatching(/^cannot use --exclude-exe "a" /) as string },
        message: expect.stringContaining('the old ones stay in force') as string,
      },
    ]);
    file.read = () => load({ 'exclude-exe': '/a' });
    await hangUp();
    expect(excluded).toEqual([{ ...noFilters, exes: ['/a'] }]);
  });

  test('keeps what it knew when the kernel refuses, so that the next one tries again', async () => {
    const { file, excluded, kernel, lines, hangUp, reload } = setUp();
    using _reload = reload;
    file.read = () => load({ 'exclude-uid': '1' });
    kernel.exclude = () => Promise.reject(new Error('no memory'));
    await hangUp();
    kernel.exclude = async () => {};
    await hangUp();
    expect(lines.map(({ level }) => level)).toEqual(['error', 'info']);
    expect(lines[1]).toMatchObject({ fields: { added: ['exclude_uid:1'] } });
    expect(excluded).toHaveLength(1);
  });

  test('names other settings that have changed, which it does not take', async () => {
    const { file, excluded, lines, hangUp, reload } = setUp();
    using _reload = reload;
    file.read = () => load({ 'topic-prefix': 'x.', args: 'none' });
    await hangUp();
    expect(excluded).toEqual([]);
    expect(lines).toMatchObject([{ level: 'warn', fields: { settings: ['topicPrefix', 'args'] } }, { level: 'info' }]);
  });

  test('while one is under way, however many are one more, with the newest rules', async () => {
    const { file, excluded, kernel, hangUp, reload } = setUp();
    using _reload = reload;
    const held = Promise.withResolvers<void>();
    kernel.exclude = () => held.promise;
    for (const uid of ['1', '2', '3']) {
      file.read = () => load({ 'exclude-uid': uid });
      await hangUp();
    }
    held.resolve();
    await settle();
    expect(excluded.map(({ uids }) => uids)).toEqual([[1], [3]]);
  });

  test('is left alone when it has been disposed', () => {
    const before = process.listenerCount('SIGHUP');
    setUp().reload[Symbol.dispose]();
    expect(process.listenerCount('SIGHUP')).toBe(before);
  });
});
