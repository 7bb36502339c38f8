import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { reasonOf } from '../../src/errors.ts';
import type { LedgerEntry } from '../../src/schemas/ledger-entry.ts';
import { removePins, whyNoCapture } from '../support/capture.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTopic, type TopicRecord } from '../support/kcat.ts';
import { oneStormAtATime, oneStormForAll } from '../support/one-storm-at-a-time.ts';
import { auditOf, bareEvents, contradictionsIn, readEventLedger } from '../support/published.ts';
import { startRegistry } from '../support/registry.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { compare, holesIn, type Storm, startStorm } from '../support/storm.ts';
import { waitFor } from '../support/wait-for.ts';

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

/** A ring that one of these storms does not overrun before the disk is there, on a busy machine neither. */
const large = ['--exec-ring-bytes', String(2 * mebibyte)];
/** A ring that every storm overruns, if nobody empties it. */
const small = ['--exec-ring-bytes', String(256 * kibibyte)];

let kafka: TestKafka;
beforeAll(async () => {
  kafka = await startKafka();
});
afterAll(async () => {
  await kafka?.[Symbol.asyncDispose]();
});
beforeEach(async ({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
  if (!kafka.running) await kafka.start();
});
oneStormAtATime();

/** One test: topics, pins and state of its own. */
class Scene implements AsyncDisposable {
  readonly place: SidecarPlace;
  readonly prefix: string;
  readonly #flags: readonly string[];

  private constructor(place: SidecarPlace, prefix: string, flags: readonly string[]) {
    this.place = place;
    this.prefix = prefix;
    this.#flags = flags;
  }

  static async create(name: string, ...flags: string[]): Promise<Scene> {
    return new Scene(await SidecarPlace.create(`spool-${name}`), `${name}.`, flags);
  }

  get directory(): string {
    return join(this.place.stateDir, 'spool');
  }

  get #words(): string[] {
    const common = ['--create-topics', '--ledger-interval', '1s', '--http', 'off', '--drain-timeout', '60s'];
    return ['--topic-prefix', this.prefix, ...common, ...this.#flags];
  }

  run(...more: string[]): Promise<CommandProcess> {
    return this.place.run(kafka.brokers, ...this.#words, ...more);
  }

  /** A start that is not waited for. */
  command(...more: string[]): CommandProcess {
    return new CommandProcess(['run', '--brokers', kafka.brokers, ...this.place.flags, ...this.#words, ...more]);
  }

  records(): Promise<TopicRecord[]> {
    return readTopic(kafka.brokers, `${this.prefix}exec-events`);
  }

  /** Of the execs, each of which balances; by epoch. */
  async ledger(): Promise<LedgerEntry[]> {
    const entries = await readEventLedger(kafka.brokers, this.prefix, 'exec');
    for (const entry of entries) {
      expect(entry.unexplained, `epoch ${entry.epoch}`).toBe(0);
      expect(entry.published + sum(entry.filtered) + sum(entry.lost) + entry.pending).toBe(entry.seen);
    }
    return entries;
  }

  /** The last entry of a capture that has ended, and whose account is closed. */
  async end(): Promise<LedgerEntry> {
    const last = (await this.ledger()).at(-1) as LedgerEntry;
    expect(last).toMatchObject({ state: 'stopped', closed: true, pending: 0 });
    return last;
  }

  /** What the audit says, which closes. */
  async audit(): Promise<string> {
    const { code, said } = await auditOf(kafka.brokers, this.prefix);
    expect(`${code}${code === 0 ? '' : `\n${said}`}`).toBe('0');
    return said;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.place[Symbol.asyncDispose]();
  }
}

const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0);

/** In the order of the numbers; two processors can write into the ring in another order than they took their numbers. */
function expectOrder(records: readonly TopicRecord[]): void {
  let highest = 0;
  for (const { headers } of records) {
    expect(Number(headers.seq)).toBeGreaterThan(highest - 16);
    highest = Math.max(highest, Number(headers.seq));
  }
}

/** Numbers that were given out and that no record has: exactly those that were lost. */
function expectHoles(records: readonly TopicRecord[], { attach_id, low_watermark, lost }: LedgerEntry): void {
  const published = new Set(records.map(({ headers }) => headers.seq)).size;
  expect(low_watermark - attach_id - published).toBe(sum(lost));
}

/** Waits for a line of the log. */
async function logged(sidecar: CommandProcess, text: string): Promise<void> {
  const what = `the sidecar logs ${text}`;
  await waitFor(() => sidecar.errors.includes(text) || sidecar.ended, { what, timeout: 60_000 }).catch((error) => {
    throw new Error(`${reasonOf(error)}; its log: ${sidecar.errors}`);
  });
  if (!sidecar.errors.includes(text)) throw new Error(`it ended before ${what}: ${sidecar.errors}`);
}

const spooling = (sidecar: CommandProcess) => logged(sidecar, 'batches go to the spool');

/** Publishes everything, and leaves nothing in the kernel. */
async function expectEnd(sidecar: CommandProcess): Promise<void> {
  const code = await sidecar.end('SIGTERM');
  expect(`${code}${code === 0 ? '' : sidecar.errors}`).toBe('0');
}

const keep = ['--on-exit', 'keep'];

describe('a broker that is away for longer than the ring holds', () => {
  it('costs nothing: what happened meanwhile is on disk, and is published in order', { timeout: 180_000 }, async () => {
    await using scene = await Scene.create('away', ...large, '--exit-ring-bytes', String(4 * mebibyte));
    await using sidecar = await scene.run();
    await kafka.kill();
    const storm = startStorm({ count: 4_000, rate: 1_000 });
    await spooling(sidecar);
    await storm.ended;
    await kafka.start();
    await expectEnd(sidecar);

    expect((await scene.end()).lost, sidecar.errors).toEqual({});
    const records = await scene.records();
    expect(compare(storm.tokens, records)).toMatchObject({ missing: [], found: 4_000 });
    expect(holesIn(records)).toEqual([]);
    expectOrder(records);
    expect(await scene.audit()).toContain('nothing lost');
    expect((await stat(scene.directory)).mode & 0o777).toBe(0o700);
  });

  it('is ended with SIGTERM in time, says what is left and where, and the next start publishes it without a registry', {
    timeout: 180_000,
  }, async () => {
    await using registry = await startRegistry();
    await using scene = await Scene.create('term', ...large, '--registry', registry.url, '--register-schemas');
    await using first = await scene.run('--drain-timeout', '1s');
    await kafka.kill();
    await registry.stop();
    const storm = startStorm({ count: 4_000, rate: 1_000 });
    await spooling(first);
    await storm.ended;
    expect(await first.end('SIGTERM')).toBe(4);
    expect(first.errors).toMatch(new RegExp(`[1-9][0-9]* records in ${scene.directory} have not been acknowledged`));

    await using detach = new CommandProcess(['detach', ...scene.place.paths]);
    expect(await detach.exit()).toBe(3);
    expect(detach.errors).toContain('records in the spool have not been acknowledged');

    await kafka.start();
    await using last = await scene.run();
    await expectEnd(last);
    const records = await scene.records();
    expect(compare(storm.tokens, records)).toMatchObject({ missing: [], found: 4_000 });
    expect(holesIn(records)).toEqual([]);
    // Framed for the registry, with the id that was kept.
    expect(new Set(records.map(({ value }) => value.subarray(0, 5).toString('hex'))).size).toBe(1);
    expect(records[0]?.value[0]).toBe(0);
  });
});

it('a sidecar that is killed while it spools and while it drains loses nothing; repeats have one identity', {
  timeout: 180_000,
}, async () => {
  await using scene = await Scene.create('kill', ...large, ...keep);
  await using first = await scene.run();
  await kafka.pause();
  const storm = startStorm({ count: 4_000, rate: 1_000 });
  await spooling(first);
  await first.end('SIGKILL');
  kafka.resume();
  await using second = await scene.run();
  await kafka.kill();
  await logged(second, 'not acknowledged');
  await second.end('SIGKILL');
  await storm.ended;
  await kafka.start();
  await using third = await scene.run();
  await waitFor(async () => (await scene.records()).length > 1_000, { what: 'some of it is published' });
  await third.end('SIGKILL');
  await using last = await scene.run('--on-exit', 'detach');
  await expectEnd(last);

  const end = await scene.end();
  const records = await scene.records();
  expectHoles(records, end);
  const bare = (await bareEvents(kafka.brokers, scene.prefix)).filter(({ comm }) => comm === 'noop').length;
  expect(compare(storm.tokens, records).missing.length).toBeLessThanOrEqual(sum(end.lost) + bare);
  expect(await contradictionsIn(records)).toEqual([]);
  await scene.audit();
});

/** Of the execs of a storm, those of which not even the bare fact is there: they are among those that were lost. */
async function expectCounted(scene: Scene, { tokens }: Storm, end: LedgerEntry): Promise<string[]> {
  const records = await scene.records();
  const { missing } = compare(tokens, records);
  // A bare record has no argument, and so no token.
  const bare = (await bareEvents(kafka.brokers, scene.prefix)).filter(({ comm }) => comm === 'noop').length;
  expect(missing.length - bare).toBeGreaterThan(0);
  expect(missing.length - bare).toBeLessThanOrEqual(sum(end.lost));
  expectHoles(records, end);
  return missing;
}

describe('a spool that is full', () => {
  const smallSpool = ['--spool-bytes', String(mebibyte)];

  it('keeps the oldest; with the ring full too, and the broker away at a start, what is lost is counted exactly', {
    timeout: 180_000,
  }, async () => {
    await using scene = await Scene.create('keep', ...small, ...smallSpool, ...keep);
    await using first = await scene.run();
    await kafka.kill();
    const storm = startStorm({ count: 6_000, rate: 1_500 });
    await logged(first, 'the spool is full');
    await storm.ended;
    await first.end('SIGKILL');

    // Nobody answers: the start fails, and what there is stays.
    await using away = scene.command();
    expect(await away.exit()).toBe(4);

    await kafka.start();
    await using last = await scene.run('--on-exit', 'detach');
    await expectEnd(last);
    const end = await scene.end();
    const { lost, seen, published } = end;
    expect(Object.keys(lost)).toEqual(['ring_full']);
    expect(seen).toBe(published + sum(lost));
    const missing = await expectCounted(scene, storm, end);
    expect([...storm.tokens].indexOf(missing[Math.floor(missing.length / 2)] as string)).toBeGreaterThan(3_000);
    expect(await contradictionsIn(await scene.records())).toEqual([]);
    expect(await scene.audit()).toContain(`ring_full ${lost.ring_full}`);
  });

  it('drops the oldest with drop-oldest, and counts them exactly', { timeout: 180_000 }, async () => {
    await using scene = await Scene.create('drop', ...large, ...smallSpool, '--spool-full', 'drop-oldest');
    await using sidecar = await scene.run();
    await kafka.pause();
    const storm = startStorm({ count: 8_000, rate: 1_500 });
    await logged(sidecar, 'the oldest batches of the spool were dropped');
    await storm.ended;
    kafka.resume();
    await expectEnd(sidecar);
    const end = await scene.end();
    const { lost, seen, published } = end;
    expect(lost.spool_full).toBeGreaterThan(0);
    expect(seen).toBe(published + sum(lost));
    const missing = await expectCounted(scene, storm, end);
    expect([...storm.tokens].indexOf(missing[Math.floor(missing.length / 2)] as string)).toBeLessThan(4_000);
    expect(await scene.audit()).toContain(`spool_full ${lost.spool_full}`);
  });
});

it('a full disk is a state: the ring holds, the sidecar goes on, and the account closes when there is room again', {
  timeout: 180_000,
}, async ({ skip }) => {
  await using scene = await Scene.create('disk', ...small);
  const { stateDir } = scene.place;
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', stateDir], { stdio: 'pipe' });
  } catch (error) {
    skip(`a small disk cannot be mounted here: ${reasonOf(error)}`);
  }
  try {
    await using sidecar = await scene.run();
    // Another program takes what is left.
    const hog = join(stateDir, 'hog');
    await writeFile(hog, Buffer.alloc(16 * mebibyte)).catch(() => {});
    expect((await stat(hog)).size).toBeGreaterThan(6 * mebibyte);
    await kafka.pause();
    const storm = startStorm({ count: 3_000, rate: 1_000 });
    await logged(sidecar, 'no_space: the disk is full; the kernel buffers');
    await storm.ended;
    kafka.resume();
    await logged(sidecar, 'no_space: the newest entries of the ledger are not kept');
    await truncate(hog);
    await expectEnd(sidecar);
    const end = await scene.end();
    const { lost, seen, published } = end;
    expect(Object.keys(lost)).toEqual(['ring_full']);
    expect(seen).toBe(published + sum(lost));
    await expectCounted(scene, storm, end);
    await scene.audit();
  } finally {
    execFileSync('umount', [stateDir]);
  }
});

describe('a capture that has given records to a spool', () => {
  const names = ['cut', 'discard', 'late'] as const;
  const scenes = new Map<string, Scene>();
  let storm: Storm;
  oneStormForAll();
  beforeAll(async () => {
    if (whyNoCapture() !== undefined) return;
    if (!kafka.running) await kafka.start();
    for (const name of names) scenes.set(name, await Scene.create(name, ...small));
    // Each ends with hundreds of records in its spool, and with its capture pinned.
    const sidecars = await Promise.all(
      [...scenes.values()].map((scene) => scene.run(...keep, '--drain-timeout', '1s')),
    );
    await kafka.kill();
    storm = startStorm({ count: 2_000, rate: 1_000 });
    await Promise.all(sidecars.map(spooling));
    await storm.ended;
    expect(await Promise.all(sidecars.map((sidecar) => sidecar.end('SIGTERM')))).toEqual([0, 0, 0]);
    await kafka.start();
  });
  afterAll(async () => {
    for (const scene of scenes.values()) await scene[Symbol.asyncDispose]();
  });

  it('counts them as missing when that was cut off, which is set aside', { timeout: 180_000 }, async () => {
    const scene = scenes.get('cut') as Scene;
    // As by a disk that has lost all but the beginning.
    await truncate(join(scene.directory, 'data.mdb'), 64 * kibibyte);
    await using last = await scene.run();
    expect(last.errors).toContain('spool_missing');
    expect(readdirSync(scene.place.stateDir).filter((name) => name.startsWith('spool.aside-'))).toHaveLength(1);
    await expectEnd(last);
    const { lost } = await scene.end();
    expect(lost.spool_missing).toBeGreaterThan(100);
    expect(await scene.audit()).toContain('spool_missing up to');
    expect(holesIn(await scene.records()).length).toBeLessThanOrEqual(sum(lost));
  });

  it('gives them up with detach --discard, which counts them', { timeout: 180_000 }, async () => {
    const scene = scenes.get('discard') as Scene;
    await using detach = new CommandProcess(['detach', '--discard', ...scene.place.paths]);
    expect(await detach.exit()).toBe(0);
    const discarded = Number(/lost: (\d+) records/.exec(detach.lines[0] ?? '')?.[1]);
    await using last = await scene.run();
    await expectEnd(last);
    const closing = (await scene.ledger()).find(({ state }) => state === 'closing');
    expect(closing?.lost.discarded).toBeGreaterThan(100);
    expect(closing?.lost.discarded).toBeLessThanOrEqual(discarded); // which are execs and exits
    await scene.audit();
  });

  it('and is gone has them published late, and its account closed under its own id', { timeout: 180_000 }, async () => {
    const scene = scenes.get('late') as Scene;
    const kept = JSON.parse(readFileSync(join(scene.place.stateDir, 'ledger.json'), 'utf8')) as {
      entry: LedgerEntry;
    }[];
    const told = kept.find(({ entry }) => entry.stream_name === 'exec')?.entry as LedgerEntry;
    // As after a crash of the host: nothing is left of the capture but what is on disk.
    removePins(scene.place.pinPath);
    await using last = await scene.run();
    await expectEnd(last);

    const closing = (await scene.ledger()).filter(({ state }) => state === 'closing');
    const [open, closed] = [closing[0], closing.at(-1)] as [LedgerEntry, LedgerEntry];
    expect(closed.attach_id).toBe(told.attach_id);
    // It is about what its last entry told of; what came after that is published, and in no account.
    expect(closed).toMatchObject({ closed: true, epoch: told.epoch, seen: told.seen, pending: 0 });
    expect(closed.published).toBe(open.published + open.pending);
    expect(compare(storm.tokens, await scene.records()).found).toBeGreaterThan(100);
    await scene.audit();
  });
});
