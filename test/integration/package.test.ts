import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pageFiles } from '../../src/http/page-files.ts';
import { thisPlatform } from '../../src/kernel/addon-file.ts';
import { siemDocument, siemId } from '../../src/siem/document.ts';
import { whyNoCapture } from '../support/capture.ts';
import { readTopic } from '../support/kcat.ts';
import { oneStormAtATime } from '../support/one-storm-at-a-time.ts';
import { type InstalledPackage, installPackage, nodeOf } from '../support/package.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { compare, startStorm } from '../support/storm.ts';
import { plainExec } from '../unit/siem/execs.ts';

const execute = promisify(execFile);
const versions = ['22.23.3', '24.21.0', '26.10.0'];

describe('the npm package, installed without a compiler and without install scripts', () => {
  let installed: InstalledPackage;
  let addon: string;
  beforeAll(async () => {
    installed = await installPackage();
    addon = join(installed.directory, 'dist', 'addon', `linux-${process.arch}`);
  });
  afterAll(() => installed?.[Symbol.asyncDispose]());

  it('has no install script of its own, and needs none of what it brings: none has run', () => {
    const { scripts } = JSON.parse(readFileSync(join(installed.directory, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    expect(Object.keys(scripts).filter((name) => /install$|^prepare$/.test(name))).toEqual([]);
  });

  it('brings every library of the addon that not every system has, with its licence', async () => {
    const { stdout } = await execute('ldd', [join(addon, 'bpf2kafka.node')]);
    const resolved = [...stdout.matchAll(/(\S+) => (\S+)/g)].map(([, name = '', file = '']) => ({ name, file }));
    const elsewhere = resolved.filter(({ file }) => !file.startsWith(addon)).map(({ name }) => name);
    expect(
      elsewhere.filter((name) => !/^(libc|libm|libstdc\+\+|libgcc_s|libdl|libpthread|librt)\.so/.test(name)),
    ).toEqual([]);
    const brought = resolved.length - elsewhere.length;
    expect(brought).toBeGreaterThanOrEqual(3);
    expect(readdirSync(join(addon, 'licences'))).toHaveLength(brought);
  });

  it('has every file of the live page, and uPlot', async () => {
    const served = pathToFileURL(join(installed.directory, 'dist/http/page-files.js'));
    const use = `
      import { pageFiles } from '${served}';
      for (const [path, file] of pageFiles) console.log(path, file.content().length > 100);`;
    const { stdout } = await execute(process.execPath, ['--input-type=module', '--eval', use]);
    const lines = [...pageFiles.keys()].map((path) => `${path} true\n`);
    expect(stdout).toBe(lines.join(''));
  });

  it('has the documents for security tools as a library, with its types', async () => {
    const module = pathToFileURL(join(dirname(installed.directory), '..', 'use.mjs'));
    const use = [
      "import { siemDocument, siemId } from 'bpf2kafka/siem';",
      `const record = ${JSON.stringify(plainExec)};`,
      "console.log(JSON.stringify([siemDocument('ecs', 'exec', record), siemId('exec', record)]));",
    ];
    writeFileSync(module, use.join('\n'));
    const { stdout } = await execute(process.execPath, [fileURLToPath(module)]);
    expect(JSON.parse(stdout)).toEqual([siemDocument('ecs', 'exec', plainExec), siemId('exec', plainExec)]);

    const wrong = "import { siemDocument } from 'bpf2kafka/siem';\nsiemDocument('cef', 'exec', {} as never);\n";
    const typed = fileURLToPath(new URL('use.ts', module));
    writeFileSync(typed, wrong);
    const tsc = join(import.meta.dirname, '../../node_modules/.bin/tsc');
    const types = ['--types', 'node', '--typeRoots', join(import.meta.dirname, '../../node_modules/@types')];
    const checked = execute(tsc, ['--noEmit', '--module', 'nodenext', '--strict', ...types, typed], {
      cwd: dirname(typed),
    });
    await expect(checked).rejects.toMatchObject({
      stdout: expect.stringMatching(/^\S*use\.ts\(2,14\): error TS2345: .*"cef"[^\n]*\n$/),
    });
  });

  it('needs no newer glibc than 2.34', async ({ skip }) => {
    const { glibc = '' } = thisPlatform();
    const newer = Number(glibc.split('.')[1]) > 36;
    skip(newer, `built on glibc ${glibc}; the package for everybody is built on Debian 12 (2.36)`);
    const files = readdirSync(addon).filter((name) => /\.node$|\.so/.test(name));
    const { stdout } = await execute('readelf', ['-W', '--dyn-syms', ...files.map((name) => join(addon, name))]);
    const minors = [...stdout.matchAll(/@GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
    expect(minors.length).toBeGreaterThan(50);
    expect(Math.max(...minors)).toBeLessThanOrEqual(34);
  });

  it.for(versions)('has a spool that needs no compiler, with Node.js %s', { timeout: 120_000 }, async (version) => {
    const store = pathToFileURL(join(installed.directory, 'dist/spool/spool-store.js'));
    const directory = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-spool-'));
    try {
      const use = `
        import { SpoolStore } from '${store}';
        const key = { ring: 'exec', order: 0, bootId: 'boot', attachId: 1, start: 0, end: 8 };
        const index = { records: 1, undecodable: 0, bytes: 4096, epochs: [[1, 1]] };
        const spool = await SpoolStore.create(process.argv[1], 1 << 20);
        await spool.apply({ put: { key, index, value: Buffer.from('kept') } });
        await spool.close();
        const again = await SpoolStore.open(process.argv[1], 1 << 20);
        console.log(String(again.read(key)));
        await again.close();`;
      const words = ['--input-type=module', '--eval', use, join(directory, 'spool')];
      const { stdout } = await execute(await nodeOf(version), words);
      expect(stdout).toBe('kept\n');
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  describe('runs and publishes with Node.js', () => {
    oneStormAtATime();

    it.for(versions)('%s', { timeout: 120_000 }, async (version, { skip }) => {
      const reason = whyNoCapture();
      skip(reason !== undefined, reason);
      const node = await nodeOf(version);
      // bpffs allows no dot in a name.
      await using place = await SidecarPlace.create(`node-${version.split('.')[0]}`);
      const words = ['run', '--brokers', kafka.brokers, '--topic-prefix', `node-${version}.`, '--create-topics'];
      await using sidecar = new CommandProcess([...words, '--http', 'off', ...place.flags], {}, [
        node,
        installed.program,
      ]);
      await sidecar.ready();
      const mapped = readFileSync(`/proc/${sidecar.pid}/maps`, 'utf8');
      for (const library of ['bpf2kafka.node', 'libbpf.so.1', 'libelf.so.1', 'libz.so.1'])
        expect(mapped).toContain(realpathSync(join(addon, library)));
      const storm = startStorm({ count: 200 });
      await storm.ended;
      expect(await sidecar.end('SIGTERM')).toBe(0);
      const records = await readTopic(kafka.brokers, `node-${version}.exec-events`);
      expect(compare(storm.tokens, records)).toEqual({ missing: [], found: 200, repeated: 0 });
    });
  });
});
