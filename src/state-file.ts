import { type FileHandle, mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Bpf2KafkaError, reasonOf } from './errors.ts';

/** The JSON of a file in the state directory; undefined when there is none. @throws Bpf2KafkaError ERR_CONFIG */
export async function readState(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw failure('read', path, error, 'give a --state-dir that this process may use');
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw failure('read', path, error, 'move the file away');
  }
}

/**
 * Replaces the file as a whole: a crash leaves the old content or the new one.
 *
 * @throws Bpf2KafkaError ERR_CONFIG
 */
export async function writeState(path: string, content: unknown): Promise<void> {
  try {
    await replace(path, content);
  } catch (error) {
    throw failure('write', path, error, 'give a --state-dir that this process may use');
  }
}

function failure(verb: string, path: string, cause: unknown, remedy: string): Bpf2KafkaError {
  const operation = `${verb} the state file`;
  return new Bpf2KafkaError('ERR_CONFIG', { operation, subject: path, reason: reasonOf(cause), remedy, cause });
}

async function replace(path: string, content: unknown): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const unfinished = `${path}.unfinished`;
  const file = await open(unfinished, 'w', 0o600);
  try {
    await giveToOwner(file, dirname(path));
    await file.writeFile(`${JSON.stringify(content)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(unfinished, path);
}

/** Root may write to a directory of the user who runs the sidecar (`detach`), and has to leave it readable for that one. */
async function giveToOwner(file: FileHandle, directory: string): Promise<void> {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = await stat(directory);
  if (uid !== 0) await file.chown(uid, gid);
}
