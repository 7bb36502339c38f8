import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { givenUser, idsOf } from '../../src/config/user.ts';

const directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-user-'));
const passwd = join(directory, 'passwd');
writeFileSync(passwd, 'root:x:0:0:root:/root:/bin/sh\nsidecar:x:997:996::/:/usr/sbin/nologin\nbroken:x::5::/:\n');
afterAll(() => rmSync(directory, { recursive: true }));

const idsOfText = (text: string) => idsOf(givenUser.parse(text), passwd);

test.each([
  ['sidecar', { uid: 997, gid: 996 }],
  ['997', { uid: 997, gid: 996 }],
  ['sidecar:12', { uid: 997, gid: 12 }],
  ['0', { uid: 0, gid: 0 }],
  ['65532:65533', { uid: 65532, gid: 65533 }],
])('--user %s', (text, ids) => {
  expect(idsOfText(text)).toEqual(ids);
});

test.each(['', ':', 'a:b', 'a:1:2', '1:4294967295', '4294967295', 'a b', '-1:-1'])('%j names no user', (text) => {
  const { success, error } = givenUser.safeParse(text);
  // A name that is legal and that nobody has is refused where it is looked up.
  if (success) expect(() => idsOfText(text)).toThrow(/has no such user/);
  else expect(error.issues[0]?.message).toMatch(/^the name or the number of a user/);
});

test.each(['another', '65532'])('--user %s is not in passwd, and the line says what to give instead', (text) => {
  expect(() => idsOfText(text)).toThrow(
    `cannot use --user ${text}: ${passwd} has no such user; give the numbers: --user UID:GID`,
  );
});
