import { mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { UserNames } from '../../../src/enrich/users.ts';
import { FakeClock, fakeLog } from '../producers/fakes.ts';

describe('names of users', () => {
  let directory: string;
  let path: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-users-'));
    path = join(directory, 'passwd');
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('come from the file; a uid that is not there has none', async () => {
    await writeFile(path, 'root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:/bin/false\n');
    const users = new UserNames({ clock: new FakeClock(), log: fakeLog().log, path });
    expect([users.of(0), users.of(1), users.of(2)]).toEqual(['root', 'daemon', null]);
  });

  test('are the first of several, and lines that are none count for nothing', async () => {
    const lines = [
      '# users',
      '',
      '+::::::',
      ':x:5:5:',
      'nouid:x::5:',
      'a:x:4294967294:1:',
      'b:x:4294967294:1:',
      'last:*:7:7',
    ];
    await writeFile(path, lines.join('\n'));
    const users = new UserNames({ clock: new FakeClock(), log: fakeLog().log, path });
    expect([users.of(4_294_967_294), users.of(5), users.of(7)]).toEqual(['a', null, 'last']);
  });

  test('are read again when the file was replaced or changed, and looked at once a second', async () => {
    const clock = new FakeClock();
    await writeFile(path, 'old:x:7:7:::\n');
    const users = new UserNames({ clock, log: fakeLog().log, path });
    expect(users.of(7)).toBe('old');

    await writeFile(`${path}+`, 'new:x:7:7:::\n');
    await rename(`${path}+`, path);
    await clock.advance(999);
    expect(users.of(7)).toBe('old');
    await clock.advance(1);
    expect(users.of(7)).toBe('new');

    await writeFile(path, 'two:x:7:7:::\n');
    await utimes(path, 1, 1);
    await clock.advance(1_000);
    expect(users.of(7)).toBe('two');
  });

  test('are unknown, not absent, while the file cannot be read, which is said once', async () => {
    const clock = new FakeClock();
    const { log, lines } = fakeLog();
    const users = new UserNames({ clock, log, path });
    expect(users.of(0)).toBeUndefined();
    await clock.advance(1_000);
    expect(users.of(0)).toBeUndefined();
    expect(lines.map(({ level, fields }) => [level, fields.path])).toEqual([['warn', path]]);

    await writeFile(path, 'root:x:0:0:root:/root:/bin/bash\n');
    await clock.advance(1_000);
    expect(users.of(0)).toBe('root');
    await rm(path);
    await clock.advance(1_000);
    expect(users.of(0)).toBeUndefined();
    expect(lines).toHaveLength(2);
  });
});
