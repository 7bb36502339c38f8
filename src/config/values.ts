import { isIPv6 } from 'node:net';
import { z } from 'zod';
import { systemClock } from '../clock.ts';
import { type IpPrefix, parsePrefix } from '../ip-prefix.ts';
import { parseSecretPattern, type SecretPattern } from '../secret-pattern.ts';
import { type InFile, matching, text } from '../setting.ts';
import type { ListenAddress } from './types.ts';

/** What values look like: each reads a text, and its message completes 'must be …'. */

/** Items with commas between, which is how the environment has a list; those of equal `identity` are one. */
export function list<Value>(
  item: z.ZodType<Value, string>,
  identity: (value: Value) => string,
  separator?: '\n',
): z.ZodType<readonly Value[], string> {
  return z
    .string()
    .transform((given) => itemsOf(given, separator))
    .pipe(z.array(item))
    .transform((values) => [...new Map(values.map((value) => [identity(value), value])).values()])
    .meta({ type: ['array', 'string', 'number'], items: inFileOf(item) });
}

export function inFileOf(value: z.ZodType<unknown, string>): InFile {
  const { $schema: _, ...inFile } = z.toJSONSchema(value, { io: 'input' });
  return inFile;
}

export function itemsOf(given: string, separator?: '\n'): string[] {
  return separator === undefined ? given.split(',').map((item) => item.trim()) : given.split(separator);
}

export function wholeNumber(given: string): number | undefined {
  return /^\d{1,15}$/.test(given) ? Number(given) : undefined;
}

export const positive = text('a whole number, 1 or more', (given) => wholeNumber(given) || undefined, {
  type: 'integer',
  minimum: 1,
});

export const brokerList = text(
  'a list of HOST:PORT with commas between, HOST a name or an IPv4 address, the port 1 to 65535',
  (given) => {
    const brokers = given.split(',').map((broker) => broker.trim());
    return brokers.every(isBroker) ? brokers : undefined;
  },
  { type: ['string', 'array'], items: { type: 'string' } },
);

/** No IPv6 address: kafkajs cuts the text at the first colon (src/broker/index.js). A name may well stand for one. */
export function isBroker(broker: string): boolean {
  const [, host, port] = /^([^:]*):(\d{1,5})$/.exec(broker) ?? [];
  if (host === undefined || Number(port) < 1 || Number(port) > 65535) return false;
  return /^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/.test(host);
}

export const listenAddress = text<ListenAddress | 'off'>(
  'HOST:PORT, HOST a name or an address (IPv6 in brackets), the port 0 (one that is free) to 65535, or off',
  (given) => {
    if (given === 'off') return given;
    const [, name, address, port] = /^(?:([A-Za-z0-9_.-]+)|\[([0-9A-Fa-f:.]+)\]):(\d{1,5})$/.exec(given) ?? [];
    const host = name ?? (isIPv6(address ?? '') ? address : undefined);
    return host === undefined || Number(port) > 65535 ? undefined : { host, port: Number(port) };
  },
);

// Credentials in an address end up in messages and in the state directory.
export const registryUrl = text('an http or https address without user, password, query or fragment', (given) => {
  const url = URL.parse(given);
  const plain = url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  return plain && /^https?:$/.test(url.protocol) ? given : undefined;
});

export const duration = text('a number with ms, s, m or h, as in 10s', durationMillis);

export const orphanTime = text('a time of 1m or more, as in 24h', (given) => {
  const millis = durationMillis(given);
  return millis !== undefined && millis >= 60_000 ? millis : undefined;
});

export function durationMillis(given: string): number | undefined {
  const [, number, unit] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(given) ?? [];
  if (number === undefined) return undefined;
  const millis = Math.round(
    Number(number) * { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit as 'ms' | 's' | 'm' | 'h'],
  );
  // What a timer of Node.js takes; beyond it a wait ends at once.
  return millis <= 2 ** 31 - 1 ? millis : undefined;
}

export function durationText(millis: number): string {
  return millis % 1_000 === 0 ? `${millis / 1_000}s` : `${millis}ms`;
}

/** Milliseconds since 1970; that of `10m` is ten minutes before it is read. */
export const moment = text('a time as in 2026-11-24T22:00:00Z, or how long ago as in 10m', (given) => {
  const ago = durationMillis(given);
  if (ago !== undefined) return systemClock.nowMillis() - ago;
  const millis = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/.test(given)
    ? Date.parse(given)
    : Number.NaN;
  return Number.isNaN(millis) ? undefined : millis;
});

export const smallestRing = 64 * 1024;
/** The kernel takes the size as an unsigned 32-bit number (max_entries). */
export const largestRing = 2 ** 31;

export const ringBytes = text(
  'a number of bytes that is a power of two, 65536 (64 KiB) to 2147483648 (2 GiB)',
  (given) => {
    const bytes = wholeNumber(given);
    if (bytes === undefined || bytes < smallestRing || bytes > largestRing) return undefined;
    return Number.isInteger(Math.log2(bytes)) ? bytes : undefined;
  },
  { type: 'integer', minimum: smallestRing, maximum: largestRing },
);

export const spoolBytes = text(
  '0, or a number of bytes, 1048576 (1 MiB) to 1099511627776 (1 TiB)',
  (given) => {
    const bytes = wholeNumber(given);
    return bytes !== undefined && (bytes === 0 || (bytes >= 2 ** 20 && bytes <= 2 ** 40)) ? bytes : undefined;
  },
  { type: 'integer', minimum: 0, maximum: 2 ** 40 },
);

/** 512 KiB a processor, between 4 and 64 MiB, a power of two. */
export function defaultRingBytes(processors: number): number {
  const wanted = processors * 512 * 1024;
  const power = 2 ** Math.ceil(Math.log2(wanted));
  return Math.min(64 * 1024 * 1024, Math.max(4 * 1024 * 1024, power));
}

/** What the kernel takes as a name (dev_valid_name in net/core/dev.c); `auto` is ours. */
export const interfaceName = text(
  'auto, or the name of an interface: 1 to 15 bytes, no blank, slash or colon',
  (given) => {
    const bytes = Buffer.byteLength(given);
    if (bytes < 1 || bytes > 15 || given === '.' || given === '..') return undefined;
    return /[\0-\x20\x7f/:]/.test(given) ? undefined : given;
  },
);

export const ipPrefix: z.ZodType<IpPrefix, string> = z.string().transform((given, context) => {
  const parsed = parsePrefix(given);
  if ('prefix' in parsed) return parsed.prefix;
  context.addIssue({ code: 'custom', message: parsed.allowed });
  return z.NEVER;
});

export const secretPattern: z.ZodType<SecretPattern, string> = z.string().transform((given, context) => {
  const parsed = parseSecretPattern(given);
  if ('pattern' in parsed) return parsed.pattern;
  context.addIssue({ code: 'custom', message: `a pattern in RE2's syntax; ${parsed.reason}` });
  return z.NEVER;
});

export const packetInterval = text('a time from 100ms to 60s, as in 1s', (given) => {
  const millis = durationMillis(given);
  return millis !== undefined && millis >= 100 && millis <= 60_000 ? millis : undefined;
});

export const packetFlows = text(
  'a whole number, 1024 to 16777216',
  (given) => {
    const flows = wholeNumber(given);
    return flows !== undefined && flows >= 1024 && flows <= 2 ** 24 ? flows : undefined;
  },
  { type: 'integer', minimum: 1024, maximum: 2 ** 24 },
);

/** It ends at the first equals sign. Of a map avsc 5.7.9 makes an object, in which `__proto__` is no name. */
export const variableName = text('the name of an environment variable, without =, and not __proto__', (given) =>
  /^[^=\0]{1,255}$/.test(given) && given !== '__proto__' ? given : undefined,
);

/** Kafka allows 249 characters; the longest topic name of ours has 21. */
export const topicPrefix = matching(
  'at most 228 letters, digits, dots, dashes and underscores',
  /^[A-Za-z0-9._-]{0,228}$/,
);

export const topicName = text('the name of a topic: 1 to 249 letters, digits, dots, dashes and underscores', (given) =>
  /^[A-Za-z0-9._-]{1,249}$/.test(given) && given !== '.' && given !== '..' ? given : undefined,
);

export const identifier = (allowed: string) => matching(allowed, /^(?!\s)[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{1,255}(?<!\s)$/u);

export interface Label {
  readonly name: string;
  readonly value: string;
}

export const label = text<Label>(
  'NAME=VALUE: the name 1 to 63 letters, digits, dots, dashes, underscores and slashes, the value at most 255 characters without control characters',
  (given) => {
    const [, name, value] = /^([A-Za-z0-9._/-]{1,63})=(\P{Cc}{0,255})$/u.exec(given) ?? [];
    return name === undefined || value === undefined ? undefined : { name, value };
  },
);
