import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/**
 * An installation of a version whose records are laid out otherwise (test/tools/other-layout.cmake): its addon, and beside
 * it the same TypeScript, which knows records by the names of their fields.
 */
export class OtherVersion implements AsyncDisposable {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async install(): Promise<OtherVersion> {
    const directory = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-version-'));
    for (const name of ['src', 'bin', 'package.json'])
      await cp(join(root, name), join(directory, name), { recursive: true });
    await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
    const release = join(directory, 'build/Release');
    await mkdir(release, { recursive: true });
    await cp(join(root, 'build/Release/bpf2kafka_other_layout.node'), join(release, 'bpf2kafka.node'));
    return new OtherVersion(directory);
  }

  /** As CommandProcess takes it. */
  get program(): readonly string[] {
    return [process.execPath, join(this.#directory, 'bin/bpf2kafka.js')];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true });
  }
}
