import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newPinPath, removePins, whyNoCapture } from '../support/capture.ts';
import { addLink, newNetworkName, removeNetwork, whyNoNetwork } from '../support/network.ts';
import { CommandProcess } from '../support/sidecar.ts';
import { goOnWithoutRights } from '../support/unprivileged.ts';

/** The table of capabilities in docs/security.md, which says what each is for, row by row against this kernel. */

interface Row {
  readonly capability: string;
  /** What `attach` says without it; undefined where it works. */
  readonly said: string | undefined;
}

const page = readFileSync(join(import.meta.dirname, '../../docs/security.md'), 'utf8');

/** `| `CAP_X` | … | `what it says` |` or `| works |`. */
const rows: readonly Row[] = page.split('\n').flatMap((line) => {
  const [, capability, , last] = /^\| `(CAP_[A-Z_]+)` \|(.*)\| ([^|]+) \|$/.exec(line) ?? [];
  if (capability === undefined || last === undefined) return [];
  const [, said] = /^exit code 3: `([^`]+)`$/.exec(last) ?? [];
  return [{ capability, said }];
});
const all = rows.map(({ capability }) => capability.replace('CAP_', '').toLowerCase());

let pinPath: string;
beforeEach(({ skip }) => {
  const reason = whyNoCapture() ?? whyNoNetwork();
  skip(reason !== undefined, reason);
  pinPath = newPinPath();
});
afterEach(() => {
  if (whyNoCapture() !== undefined) return;
  removePins(pinPath);
  if (whyNoNetwork() === undefined) removeNetwork();
});

/** Everything that can be attached, by a root that has these capabilities and no other. */
async function attachWith(capabilities: readonly string[]) {
  const link = newNetworkName();
  addLink(link, 'type', 'veth', 'peer', 'name', newNetworkName());
  const set = ['-all', ...capabilities.map((name) => `+${name}`)].join(',');
  const program = ['setpriv', `--bounding-set=${set}`, `--inh-caps=${set}`, process.execPath, 'bin/bpf2kafka.js'];
  const words = ['attach', '--pin-path', pinPath, '--interface', link, '--failed-execs', '--user', '54321:54322'];
  await using command = new CommandProcess(words, {}, program);
  const code = await command.exit();
  const line = command.errors.split('\n').find((text) => text.startsWith('bpf2kafka: ')) ?? '';
  return { code, line: line.slice('bpf2kafka: '.length), streams: command.lines[0]?.replace(link, 'LINK') };
}

const whole = 'attached exec exit packets:LINK in ';

test('the table has a row for each capability that the documentation and the deployments name', () => {
  expect(all).toEqual(['bpf', 'perfmon', 'net_admin', 'chown', 'sys_ptrace']);
});

describe('of the capabilities in the table', () => {
  test('all together suffice', async () => {
    const { code, streams } = await attachWith(all);
    expect({ code, streams }).toEqual({ code: 0, streams: expect.stringContaining(whole) });
  });

  test.for(rows)('without $capability it is as the table says', async ({ capability, said }) => {
    const others = all.filter((name) => `CAP_${name.toUpperCase()}` !== capability);
    const { code, line, streams } = await attachWith(others);
    if (said === undefined)
      return expect({ code, streams }).toEqual({ code: 0, streams: expect.stringContaining(whole) });
    expect(code).toBe(3);
    expect(line.replaceAll(pinPath, '/sys/fs/bpf/bpf2kafka')).toContain(said);
    expect(existsSync(pinPath)).toBe(false);
  });
});

test('what is attached can be gone on with by a user without any', () => {
  expect(goOnWithoutRights(pinPath)).toEqual({ capEff: '0000000000000000', resumed: true, epochs: 1, records: true });
});
