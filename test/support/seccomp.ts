import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tool } from './capture.ts';

/** Filters of system calls as container engines take them (OCI runtime specification, linux.seccomp). */

interface Argument {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: string;
}

export interface Profile {
  readonly defaultAction: string;
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly {
    readonly names: readonly string[];
    readonly action: string;
    readonly errnoRet?: number;
    readonly args?: readonly Argument[];
  }[];
}

export type ProfileName = 'seccomp.json' | 'seccomp-attached.json';

export function readProfile(name: ProfileName): Profile {
  return JSON.parse(readFileSync(join(import.meta.dirname, '../../deploy', name), 'utf8')) as Profile;
}

/** For the tool with_seccomp: what stands before a command that is to run under the profile, and its environment. */
export function underProfile(name: ProfileName) {
  return { behind: [tool('with_seccomp')], environment: { SECCOMP_RULES: rulesOf(readProfile(name)).join('\n') } };
}

/** Why no filter can be tried here; undefined when it can. */
export function whyNoSeccomp(): string | undefined {
  const { behind, environment } = underProfile('seccomp.json');
  const { status, stderr } = spawnSync(behind[0] as string, ['true'], {
    env: { ...process.env, ...environment },
    encoding: 'utf8',
  });
  return status === 77 ? stderr.trim() : undefined;
}

function rulesOf({ syscalls }: Profile): string[] {
  return syscalls.flatMap(({ names, action, errnoRet, args = [] }) =>
    names.map((name) => `${name}${conditionOf(action, errnoRet, args)}`),
  );
}

function conditionOf(action: string, errnoRet: number | undefined, args: readonly Argument[]): string {
  const [only, ...more] = args;
  if (action === 'SCMP_ACT_ERRNO' && errnoRet !== undefined && only === undefined) return ` errno ${errnoRet}`;
  if (action === 'SCMP_ACT_ALLOW' && only === undefined) return '';
  if (action === 'SCMP_ACT_ALLOW' && only?.op === 'SCMP_CMP_EQ' && more.length === 0)
    return ` ${only.index} eq ${only.value}`;
  if (action === 'SCMP_ACT_ALLOW' && only?.op === 'SCMP_CMP_MASKED_EQ' && more.length === 0)
    return ` ${only.index} masked ${only.value} ${only.valueTwo}`;
  throw new Error(`a rule that the tests cannot apply: ${action} ${JSON.stringify(args)}`);
}
