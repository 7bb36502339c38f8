import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { join } from 'node:path';
import { Bpf2KafkaError, type ErrorCode } from '../errors.ts';
import { explainAddonFailure, findAddon } from './addon-file.ts';

const root = join(import.meta.dirname, '../..');

let loaded: unknown;

/** The native addon, of which the caller knows what it has. */
export function loadAddon<Addon>(): Addon {
  if (loaded !== undefined) return loaded as Addon;
  const file = findAddon(root);
  try {
    loaded = createRequire(import.meta.url)(file);
    return loaded as Addon;
  } catch (error) {
    throw explainAddonFailure(error);
  }
}

const remedies: Partial<Record<ErrorCode, string>> = {
  ERR_PERMISSION: 'run it as root, or with CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_PTRACE',
  ERR_NOT_ATTACHED: 'run `bpf2kafka attach` first, as root and with the same settings',
  ERR_OWNED: 'stop that one first; one process reads the records of a host',
  ERR_PIN_LAYOUT:
    'stop the capture with `bpf2kafka detach` of the version that began it; `--discard` gives up what it had not published',
  ERR_KERNEL_UNSUPPORTED: 'run it on Linux 5.15 or newer with BTF',
  ERR_MOUNT: 'mount it first: mount -t bpf bpf /sys/fs/bpf',
  ERR_BACKLOG: 'publish them with `bpf2kafka run --on-exit detach`, or give them up with `--discard`',
};

/** Of who has no rights but those of the pins. */
const remediesWhenAttached = {
  /** By the file system. */
  permission: 'let `bpf2kafka attach --user` give the pins to this user, and let it pass the directories above them',
  /** By bpf(2) itself: kernel/bpf/syscall.c, before commit c8644cd0efe7 of Linux 5.19. */
  refused:
    'before Linux 5.19 bpf(2) is for CAP_BPF only: set kernel.unprivileged_bpf_disabled to 0, or add CAP_BPF alone; on newer kernels a seccomp filter can refuse it',
} as const;

function remedyOf(code: ErrorCode, errno: number | undefined, attached: boolean): string | undefined {
  if (!attached || code !== 'ERR_PERMISSION') return remedies[code];
  return errno === constants.errno.EPERM ? remediesWhenAttached.refused : remediesWhenAttached.permission;
}

/** A failure of the addon, which carries code, operation, subject and errno, as ours; any other as it is. */
function translate(error: unknown, attached: boolean): unknown {
  const native = error as Error & { code?: ErrorCode; operation?: string; subject?: string; errno?: number };
  if (native.operation === undefined || native.code === undefined) return error;
  const remedy = remedyOf(native.code, native.errno, attached);
  return new Bpf2KafkaError(native.code, {
    operation: native.operation,
    ...(native.subject ? { subject: native.subject } : {}),
    reason: native.message.replace(/\s*\n\s*/g, '; '),
    ...(remedy === undefined ? {} : { remedy }),
    ...(native.errno ? { errno: native.errno } : {}),
    cause: error,
  });
}

/** Calls into the addon. What a promise rejects with is translated too. */
export function translated<Result>(call: () => Result, attached = false): Result {
  try {
    const result = call();
    if (!(result instanceof Promise)) return result;
    return result.catch((error: unknown) => Promise.reject(translate(error, attached))) as Result;
  } catch (error) {
    throw translate(error, attached);
  }
}

/** The same object, with every call translated. */
export function translating<Native extends object>(native: Native): Native {
  const methods = native as Record<string, (...args: unknown[]) => unknown>;
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(native)).filter((name) => name !== 'constructor');
  return Object.fromEntries(
    names.map((name) => [name, (...args: unknown[]) => translated(() => methods[name]?.(...args))]),
  ) as Native;
}
