import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import { whyNoCapture } from '../support/capture.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTopic } from '../support/kcat.ts';
import { oneStormAtATime } from '../support/one-storm-at-a-time.ts';
import { OtherVersion } from '../support/other-version.ts';
import { auditOf, contradictionsIn, readEvents } from '../support/published.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { compare, startStorm, tokensIn } from '../support/storm.ts';
import { waitFor } from '../support/wait-for.ts';

beforeEach(({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
});
oneStormAtATime();

describe('another version whose records are laid out otherwise', () => {
  let kafka: TestKafka;
  let other: OtherVersion;
  beforeAll(async () => {
    kafka = await startKafka();
    other = await OtherVersion.install();
  });
  afterAll(async () => {
    await other[Symbol.asyncDispose]();
    await kafka[Symbol.asyncDispose]();
  });

  /** Starts this version or the other one over the same pins. */
  async function start(place: SidecarPlace, prefix: string, program?: readonly string[], ...flags: string[]) {
    const words = ['run', '--brokers', kafka.brokers, '--topic-prefix', prefix, '--create-topics', '--http', 'off'];
    const command = new CommandProcess([...words, '--ledger-interval', '1s', ...place.flags, ...flags], {}, program);
    await command.ready();
    return command;
  }

  const ringsOf = ({ pinPath }: SidecarPlace) =>
    readdirSync(`${pinPath}/v1`)
      .filter((name) => /^g\d+$/.test(name))
      .flatMap((name) => readdirSync(`${pinPath}/v1/${name}`).map((pin) => `${name}/${pin}`))
      .filter((name) => name.endsWith('_ring'))
      .sort();

  /** Resolves when so many execs are in the topic, whether more come or not. */
  async function publishes(prefix: string, count: number): Promise<void> {
    const words = ['--brokers', kafka.brokers, '--topic-prefix', prefix, '--from-beginning', '--limit', String(count)];
    await using tail = new CommandProcess(['tail', 'exec', ...words]);
    expect(await tail.exit(), tail.errors).toBe(0);
  }

  /** Execs that waited for it in the ring of the version before. */
  const backlogOf = ({ errors }: CommandProcess) => Number(/"stream":"exec".*?"backlog":(\d+)/.exec(errors)?.[1]);

  /** The rings of every other generation are read to their end and given up. */
  async function expectRings(place: SidecarPlace, generation: string): Promise<void> {
    const wanted = ['exec_bare_ring', 'exec_ring', 'exit_ring'].map((ring) => `${generation}/${ring}`);
    await waitFor(() => String(ringsOf(place)) === String(wanted), {
      what: `only rings of ${generation}`,
      timeout: 60_000,
    });
  }

  async function expectEachOnce(prefix: string, tokens: ReadonlySet<string>): Promise<void> {
    const records = await readTopic(kafka.brokers, `${prefix}exec-events`);
    expect(compare(tokens, records).missing).toEqual([]);
    expect(await contradictionsIn(records)).toEqual([]);
    const identities = new Map<string, Set<string>>();
    for (const record of records)
      for (const token of tokensIn(record))
        identities.set(
          token,
          (identities.get(token) ?? new Set()).add(`${record.headers.boot_id}:${record.headers.seq}`),
        );
    expect([...identities].filter(([, of]) => of.size > 1)).toEqual([]);
    const audit = await auditOf(kafka.brokers, prefix);
    expect(audit.code, audit.said).toBe(0);
  }

  it('upgrade, rollback and upgrade under 2,000 execs/s: nothing is lost, and no exec has two identities', {
    timeout: 180_000,
  }, async () => {
    const prefix = 'upgrade.';
    // Holds what comes until the next version reads, 20 s of it: what finds no room loses its arguments, or all.
    const ring = ['--exec-ring-bytes', String(32 * 1024 * 1024)];
    await using place = await SidecarPlace.create('upgrade');
    await using first = await start(place, prefix, undefined, ...ring);
    const storm = startStorm({ count: 40_000, rate: 2_000 });
    await publishes(prefix, 500);
    expect(await first.end('SIGKILL')).toBe('SIGKILL');

    await using second = await start(place, prefix, other.program, ...ring);
    expect(second.errors).toContain('the record layout has changed');
    expect(backlogOf(second)).toBeGreaterThan(500);
    await expectRings(place, 'g2');
    expect(await second.end('SIGKILL')).toBe('SIGKILL');

    await using third = await start(place, prefix, undefined, ...ring);
    expect(backlogOf(third)).toBeGreaterThan(500);
    await expectRings(place, 'g3');
    await storm.ended;
    expect(await third.end('SIGTERM')).toBe(0);
    expect(readdirSync('/sys/fs/bpf').filter((name) => place.pinPath.endsWith(name))).toEqual([]);
    await expectEachOnce(prefix, storm.tokens);

    const events = (await readEvents(kafka.brokers, 'exec-events', prefix)).map(({ event }) => event as ExecEvent);
    const ofStorm = events.filter(({ args }) => args?.some((text) => storm.tokens.has(text)));
    // What the parent runs is told by /proc, or not at all, to a sidecar that has just begun.
    const ofParent = ['parent_exe', 'parent_args'];
    for (const { degraded, comm, uid, file_nlink } of ofStorm)
      expect({ degraded: degraded.filter((name) => !ofParent.includes(name)), comm, uid, file_nlink }).toEqual({
        degraded: [],
        comm: 'noop',
        uid: 0,
        file_nlink: 1,
      });
  });

  it('an upgrade that does not reach the broker, taken back: what both versions captured comes in the end', {
    timeout: 240_000,
  }, async () => {
    const prefix = 'away.';
    const ring = ['--exec-ring-bytes', '1048576'];
    await using place = await SidecarPlace.create('away');
    await using first = await start(place, prefix, undefined, ...ring);
    const before = startStorm({ count: 200, rate: 500 });
    await before.ended;
    await publishes(prefix, 200);
    await kafka.pause();
    const held = startStorm({ count: 2_000, rate: 500 });
    await held.ended;
    await waitFor(() => first.errors.includes('batches go to the spool'), {
      what: 'the ring of the first one fills',
      timeout: 60_000,
    });
    expect(await first.end('SIGKILL')).toBe('SIGKILL');
    kafka.resume();
    await kafka.stop();

    await using second = new CommandProcess(
      ['run', '--brokers', kafka.brokers, '--topic-prefix', prefix, ...place.flags, '--http', 'off', ...ring],
      {},
      other.program,
    );
    expect(await second.exit(), second.errors).toBe(4);
    expect(ringsOf(place).filter((ring) => ring.endsWith('/exec_ring'))).toEqual(['g1/exec_ring', 'g2/exec_ring']);
    const later = startStorm({ count: 200, rate: 500 });
    await later.ended;

    await kafka.start();
    await using third = await start(place, prefix, undefined, ...ring);
    await expectRings(place, 'g3');
    expect(await third.end('SIGTERM'), third.errors).toBe(0);
    await expectEachOnce(prefix, new Set([...before.tokens, ...held.tokens, ...later.tokens]));
  });
});
