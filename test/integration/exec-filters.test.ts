import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { LedgerEntry } from '../../src/schemas/ledger-entry.ts';
import { tool, whyNoCapture } from '../support/capture.ts';
import { HandMadeCgroup, Hierarchy, runIn } from '../support/cgroups.ts';
import { readTopic } from '../support/kcat.ts';
import { oneStormAtATime } from '../support/one-storm-at-a-time.ts';
import { auditOf, readEventLedger } from '../support/published.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { compare, holesIn, repeatsIn, startStorm } from '../support/storm.ts';
import { waitFor } from '../support/wait-for.ts';

beforeEach(({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
});
oneStormAtATime();

/** What the log has said in lines with this text in them, oldest first. */
function logged(sidecar: CommandProcess, text: string): Record<string, unknown>[] {
  return sidecar.errors
    .split('\n')
    .filter((line) => line.includes(text))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Sends SIGHUP and waits for what the log says of it. */
async function hangUp(sidecar: CommandProcess, text: string): Promise<Record<string, unknown>> {
  const before = logged(sidecar, text).length;
  process.kill(sidecar.pid, 'SIGHUP');
  return waitFor(() => logged(sidecar, text)[before], { what: `the log says ${text}: ${sidecar.errors}` });
}

describe('execs that rules keep out', () => {
  const noop = `exclude_exe:${tool('noop')}`;
  const replaced = 'rules for execs are replaced';

  it('are counted while SIGHUP changes the rules in a storm: with those in the topic they are all', {
    timeout: 120_000,
  }, async () => {
    await using place = await SidecarPlace.create('filters');
    const config = join(place.stateDir, 'config.yaml');
    const cgroups = join(place.stateDir, 'cgroups');
    const write = (exes: readonly string[]) =>
      writeFile(config, `exclude-exe: [${exes.join(', ')}]\nexclude-cgroup-file: ${cgroups}\n`);
    await writeFile(cgroups, '# none yet\n');
    await write([]);
    const flags = ['--create-topics', '--topic-prefix', 'filters.', '--ledger-interval', '1s', '--config', config];
    await using sidecar = await place.run(kafka.brokers, ...flags);

    const count = 6_000;
    const storm = startStorm({ count, rate: 600 });
    let ended = false;
    void storm.ended.finally(() => {
      ended = true;
    });
    for (let on = true; !ended; on = !on) {
      await write(on ? [tool('noop')] : []);
      expect(await hangUp(sidecar, replaced)).toMatchObject(on ? { added: [noop] } : { removed: [noop] });
    }
    await storm.ended;
    expect(await sidecar.end('SIGTERM')).toBe(0);

    const entries = await readEventLedger(kafka.brokers, 'filters.', 'exec');
    for (const entry of entries) expect(entry.unexplained, `epoch ${entry.epoch}`).toBe(0);
    const last = entries.at(-1) as LedgerEntry;
    expect(last).toMatchObject({ state: 'stopped', closed: true, pending: 0, lost: {} });
    expect(Object.keys(last.filtered)).toEqual([noop]);
    const records = await readTopic(kafka.brokers, 'filters.exec-events');
    const { found, missing } = compare(storm.tokens, records);
    expect([found, missing.length]).toEqual([count - (last.filtered[noop] as number), last.filtered[noop]]);
    expect(found).toBeGreaterThan(0);
    expect(repeatsIn(records)).toEqual([]);
    expect(records).toHaveLength(last.published);
    expect(holesIn(records)).toEqual([]);
    const { code, said } = await auditOf(kafka.brokers, 'filters.');
    expect(code, said).toBe(0);
    expect(said).toContain(`filtered ${last.filtered[noop]} (${noop} ${last.filtered[noop]}) + lost 0;`);
  });

  it('stay those of the old rules when the new ones are wrong, and a file of cgroups can be changed too', async ({
    skip,
  }) => {
    const hierarchy = Hierarchy.open('unified');
    if ('whyNot' in hierarchy) return skip(hierarchy.whyNot);
    using _hierarchy = hierarchy;
    const name = `/bpf2kafka-test-${process.pid}`;
    using cgroup = new HandMadeCgroup(hierarchy, name);
    await using place = await SidecarPlace.create('wrong');
    const config = join(place.stateDir, 'config.yaml');
    const cgroups = join(place.stateDir, 'cgroups');
    await writeFile(config, `exclude-cgroup-file: ${cgroups}\n`);
    await writeFile(cgroups, `${name}\n`);
    const flags = ['--create-topics', '--topic-prefix', 'wrong.', '--config', config];
    await using sidecar = await place.run(kafka.brokers, ...flags);
    runIn([cgroup], tool('noop'), ['1']);

    const kept = 'the old ones stay in force';
    await writeFile(cgroups, 'no-cgroup\n');
    expect((await hangUp(sidecar, kept)).reason).toMatch(/cgroups in \S+: line 1: it must be the absolute path/);
    await writeFile(config, `exclude-uid: all\nexclude-cgroup-file: ${cgroups}\n`);
    expect((await hangUp(sidecar, kept)).reason).toMatch(
      /^cannot use --exclude-uid "all" \(from \S+, line 1\): it must/,
    );
    await writeFile(config, `exclude-uid: 1\ntopic-prefix: other.\nexclude-cgroup-file: ${cgroups}\n`);
    await writeFile(cgroups, `${name}\n/other\n`);
    runIn([cgroup], tool('noop'), ['2']);
    expect(await hangUp(sidecar, replaced)).toMatchObject({
      added: ['exclude_uid:1', 'exclude_cgroup:/other'],
      removed: [],
    });
    runIn([cgroup], tool('noop'), ['3']);
    expect(await sidecar.end('SIGTERM')).toBe(0);
    expect((await readEventLedger(kafka.brokers, 'wrong.', 'exec')).at(-1)).toMatchObject({
      filtered: { [`exclude_cgroup:${name}`]: 3 },
      unexplained: 0,
    });
  });

  it('are told of in the account that detach closes', async () => {
    await using place = await SidecarPlace.create('filters-detach');
    const flags = ['--create-topics', '--topic-prefix', 'filters-detach.'];
    const excluding = [...flags, '--exclude-exe', tool('noop'), '--on-exit', 'keep'];
    await using first = await place.run(kafka.brokers, ...excluding);
    await waitFor(async () => (await readEventLedger(kafka.brokers, 'filters-detach.', 'exec')).length > 0, {
      what: 'an entry',
    });
    expect(await first.end('SIGTERM')).toBe(0);
    // The rules hold without the process that had them.
    await startStorm({ count: 200 }).ended;
    await using detach = new CommandProcess(['detach', '--discard', ...place.paths]);
    expect(await detach.exit()).toBe(0);
    await using second = await place.run(kafka.brokers, ...flags);
    expect(await second.end('SIGTERM')).toBe(0);
    const entries = await readEventLedger(kafka.brokers, 'filters-detach.', 'exec');
    const closing = entries.find(({ state }) => state === 'closing') as LedgerEntry;
    expect(closing).toMatchObject({ filtered: { [noop]: 200 }, unexplained: 0 });
    const { code, said } = await auditOf(kafka.brokers, 'filters-detach.');
    expect(code, said).toBe(0);
  });
});
