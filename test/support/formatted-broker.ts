import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { takeTurn } from './turn.ts';

/**
 * Formatting the directory of a broker takes a Java virtual machine of its own, and what it writes is the same for every
 * broker but for two ids. So the files of the first one are kept for the others.
 */

const checkout = join(import.meta.dirname, '../..');
const pom = createHash('sha256').update(readFileSync(join(checkout, 'scripts/kafka/pom.xml')));
/** Named after the version of Kafka that wrote it. */
const template = join(checkout, '.cache/formatted-brokers', pom.digest('hex').slice(0, 12));

/** Who the broker is, and what its metadata begin with (StorageTool, of one node with static voters). */
const files = ['meta.properties', '__cluster_metadata-0/00000000000000000000-0000000000.checkpoint'];

/** Keeps what formatting has written into the data directory of a broker that has just started for the first time. */
export async function keepFormatted(data: string): Promise<void> {
  if (existsSync(template)) return;
  using _ = await takeTurn('formatted-brokers');
  if (existsSync(template)) return;
  await mkdir(dirname(template), { recursive: true });
  // Under another name until it is whole.
  const unfinished = await mkdtemp(`${template}.unfinished-`);
  for (const file of files) await cp(join(data, file), join(unfinished, file));
  await rename(unfinished, template);
}

/** Makes the data directory of a broker that never ran, with ids of its own; none when there are no files yet. */
export async function makeFormatted(data: string): Promise<void> {
  if (!existsSync(template)) return;
  await cp(template, data, { recursive: true });
  const path = join(data, 'meta.properties');
  const properties = await readFile(path, 'utf8');
  await writeFile(
    path,
    properties.replace(/^((?:cluster|directory)\.id)=.*$/gm, (_, name) => `${name}=${newId()}`),
  );
}

/** As org.apache.kafka.common.Uuid prints one. */
function newId(): string {
  return randomBytes(16).toString('base64url');
}
