import { writeFile } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { createKafkaClient } from '../../src/kafka/client.ts';
import { createLog } from '../../src/log.ts';
import { whyNoCapture } from '../support/capture.ts';
import { readTopic } from '../support/kcat.ts';
import { readHosts } from '../support/published.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { waitFor } from '../support/wait-for.ts';

beforeEach(({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
});

const prefix = 'hosts.';

it('a host says what it is at the start and when its rules change, in a compacted topic', {
  timeout: 120_000,
}, async () => {
  await using place = await SidecarPlace.create('hosts');
  const config = join(place.stateDir, 'config.yaml');
  await writeFile(config, 'label: [site=fra1, rack=7]\n');
  const flags = [
    '--create-topics',
    '--topic-prefix',
    prefix,
    '--host-id',
    'h-1',
    '--host-name',
    'web-17',
    '--config',
    config,
  ];
  await using sidecar = await place.run(kafka.brokers, ...flags);
  const hosts = (count: number) =>
    waitFor(
      async () => {
        const found = await readHosts(kafka.brokers, prefix);
        return found.length >= count && found;
      },
      { what: `${count} records about the host`, timeout: 30_000, interval: 250 },
    );
  const [first] = await hosts(1);
  expect(first).toMatchObject({
    host_id: 'h-1',
    host_name: 'web-17',
    kernel_release: release(),
    labels: { site: 'fra1', rack: '7' },
    filters: [],
    redaction: ['defaults'],
    program_tags: { exec: expect.stringMatching(/^[0-9a-f]{16}$/), exit: expect.stringMatching(/^[0-9a-f]{16}$/) },
  });

  await writeFile(config, 'label: [site=fra1, rack=7]\nexclude-uid: [4242]\n');
  process.kill(sidecar.pid, 'SIGHUP');
  const [, second] = await hosts(2);
  expect(second).toMatchObject({ host_id: 'h-1', filters: ['exclude_uid:4242'] });
  // They are of one key, so that compaction keeps the newest.
  const records = await readTopic(kafka.brokers, `${prefix}bpf2kafka-hosts`);
  expect(new Set(records.map(({ key, partition }) => `${key} ${partition}`)).size).toBe(1);
  expect(await sidecar.end('SIGTERM')).toBe(0);

  const client = createKafkaClient({ brokers: [kafka.brokers], clientId: 'test', log: createLog('silent') });
  await using admin = await client.connectAdmin();
  expect((await admin.topicSettings(`${prefix}bpf2kafka-hosts`))?.get('cleanup.policy')).toBe('compact');
});

it('without its topic run ends with exit code 4 and names it', async () => {
  for (const topic of ['exec-events', 'exit-events', 'bpf2kafka-ledger', 'bpf2kafka-dead-letter'])
    await kafka.createTopic(`lacking.${topic}`);
  await using place = await SidecarPlace.create('hosts-lacking');
  const words = ['run', '--brokers', kafka.brokers, '--topic-prefix', 'lacking.', ...place.flags];
  await using run = new CommandProcess(words);
  expect(await run.exit()).toBe(4);
  expect(run.errors).toContain('lacking.bpf2kafka-hosts');
});
