/**
 * Writes the classes that a broker loads into the archive that later starts map into memory: `broker.jsa` beside
 * Kafka's libraries. A broker has to run and end once for that.
 */
import { rmSync } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { EmbeddedKafka } from '../../src/embedded-kafka/embedded-kafka.ts';
import { createLog } from '../../src/log.ts';

const librariesDirectory = process.argv[2];
if (librariesDirectory === undefined) throw new Error('usage: archive-classes.ts LIBRARIES_DIRECTORY');

const archive = join(dirname(librariesDirectory), 'broker.jsa');
const unfinished = `${archive}.${process.pid}`;
const directory = await mkdtemp(join(tmpdir(), 'bpf2kafka-archive-'));
rmSync(archive, { force: true });
try {
  const kafka = await EmbeddedKafka.start({
    directory,
    librariesDirectory,
    log: createLog('warn'),
    jvmArguments: [`-XX:ArchiveClassesAtExit=${unfinished}`],
  });
  await kafka.stop();
  await rename(unfinished, archive);
} finally {
  rmSync(unfinished, { force: true });
  await rm(directory, { recursive: true, force: true });
}
