import { readFileSync } from 'node:fs';
import { configError, text } from '../setting.ts';
import type { UserIds } from './types.ts';

/** A user as `--user` names one. */
export interface GivenUser {
  /** A name or a number. */
  readonly user: string;
  /** Undefined: the one that passwd(5) has. */
  readonly gid: number | undefined;
}

const largestId = 2 ** 32 - 2;
const numberOf = (digits: string) =>
  /^\d{1,10}$/.test(digits) && Number(digits) <= largestId ? Number(digits) : undefined;

export const givenUser = text<GivenUser>(
  'the name or the number of a user, and behind a colon the number of a group',
  (given) => {
    const [, user, group] = /^([^:\s]{1,32})(?::(\d+))?$/.exec(given) ?? [];
    if (user === undefined || (/^\d+$/.test(user) && numberOf(user) === undefined)) return undefined;
    if (group === undefined) return { user, gid: undefined };
    const gid = numberOf(group);
    return gid === undefined ? undefined : { user, gid };
  },
);

/**
 * The numbers of a user. No NSS, as with the names of users in records.
 * @param passwd file in the form of passwd(5)
 * @throws Bpf2KafkaError ERR_CONFIG
 */
export function idsOf({ user, gid }: GivenUser, passwd = '/etc/passwd'): UserIds {
  const number = numberOf(user);
  if (number !== undefined && gid !== undefined) return { uid: number, gid };
  const entry = readFileSync(passwd, 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name, , uid]) => (number === undefined ? name === user : Number(uid) === number && uid !== ''));
  if (entry === undefined)
    throw configError({
      operation: 'use',
      subject: `--user ${user}`,
      reason: `${passwd} has no such user`,
      remedy: 'give the numbers: --user UID:GID',
    });
  return { uid: Number(entry[2]), gid: gid ?? Number(entry[3]) };
}
