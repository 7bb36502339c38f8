import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Engine } from './engine.ts';
import { installPackage } from './package.ts';
import { registryDirectory } from './registry.ts';

const root = join(import.meta.dirname, '../..');
const execute = promisify(execFile);

/** The images of docker-compose.yml, under the names of its variables. */
export interface Images {
  readonly KAFKA_IMAGE: string;
  readonly REGISTRY_IMAGE: string;
  readonly NODE_IMAGE: string;
  readonly BPF2KAFKA_IMAGE: string;
}

/**
 * Images for the tests: those that the environment names, otherwise the ones of docker-compose.yml where they can be
 * pulled, otherwise stand-ins made of what this machine has. The sidecar's own is built from this checkout.
 */
export async function prepareImages(engine: Engine): Promise<Images> {
  const kafka = await imageFor(engine, 'KAFKA_IMAGE', async (tag) => {
    const [version = ''] = readdirSync(join(root, '.cache/kafka'));
    await standIn(engine, 'kafka', tag, {
      JAVA_IMAGE: await javaStandIn(engine),
      APPLICATION: join(root, '.cache/kafka', version, 'libs'),
    });
  });
  const registry = await imageFor(engine, 'REGISTRY_IMAGE', async (tag) => {
    await standIn(engine, 'registry', tag, {
      JAVA_IMAGE: await javaStandIn(engine),
      APPLICATION: await registryDirectory(),
    });
  });
  const node = await imageFor(engine, 'NODE_IMAGE', (tag) => standIn(engine, 'node', tag, { NODE: process.execPath }));
  return {
    KAFKA_IMAGE: kafka,
    REGISTRY_IMAGE: registry,
    NODE_IMAGE: node,
    BPF2KAFKA_IMAGE: await buildSidecar(engine, node),
  };
}

/** The last stages of deploy/Dockerfile, on the package of this checkout: the stage that compiles it takes minutes. */
async function buildSidecar(engine: Engine, node: string): Promise<string> {
  const tag = 'bpf2kafka-test/sidecar:checkout';
  await using installed = await installPackage();
  await engine.docker([
    ...['buildx', 'build', '--quiet', '--file', 'deploy/Dockerfile', '--tag', tag, '--load'],
    ...['--build-arg', `NODE_IMAGE=${node}`, '--build-context', `package=${installed.stage}`, '.'],
  ]);
  return tag;
}

/** An image with nothing in it but one static program, which its containers run; it is removed at the end. */
export async function imageOfProgram(
  engine: Engine,
  program: string,
): Promise<AsyncDisposable & { readonly id: string }> {
  const place = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-image-'));
  try {
    const archive = join(place, 'image.tar');
    await execute('tar', ['-cf', archive, '-C', dirname(program), basename(program)]);
    const entrypoint = `ENTRYPOINT ["/${basename(program)}"]`;
    const id = await engine.docker(['import', '--change', entrypoint, archive]);
    return {
      id,
      async [Symbol.asyncDispose]() {
        await engine.docker(['rmi', id]);
      },
    };
  } finally {
    await rm(place, { recursive: true });
  }
}

async function imageFor(engine: Engine, variable: string, make: (tag: string) => Promise<void>): Promise<string> {
  const given = process.env[variable];
  if (given !== undefined && given !== '') return given;
  const wanted = defaultOf(variable);
  if (await isThere(engine, wanted)) return wanted;
  try {
    await engine.docker(['pull', '--quiet', wanted]);
    return wanted;
  } catch {
    // Named after what it is made of, so that it is made again when that changes.
    const tag = `bpf2kafka-test/${variable.replace('_IMAGE', '').toLowerCase()}:${recipeHash()}`;
    if (!(await isThere(engine, tag))) await make(tag);
    return tag;
  }
}

/** What docker-compose.yml names. */
function defaultOf(variable: string): string {
  const compose = readFileSync(join(root, 'docker-compose.yml'), 'utf8');
  const [, image] = new RegExp(`\\$\\{${variable}:-([^}]+)\\}`).exec(compose) ?? [];
  if (image === undefined) throw new Error(`docker-compose.yml does not use ${variable}`);
  return image;
}

async function isThere(engine: Engine, image: string): Promise<boolean> {
  return (await engine.docker(['images', '--quiet', image])) !== '';
}

async function javaStandIn(engine: Engine): Promise<string> {
  const tag = `bpf2kafka-test/java:${recipeHash()}`;
  if (!(await isThere(engine, tag))) await standIn(engine, 'java', tag, { JAVA: join(root, '.cache/java') });
  return tag;
}

async function standIn(engine: Engine, image: string, tag: string, settings: Record<string, string>): Promise<void> {
  const script = join(root, 'test/containers/stand-in.sh');
  await execute('bash', [script, image, tag], { env: { ...engine.environment, ...settings } });
}

function recipeHash(): string {
  const hash = createHash('sha256').update(process.version);
  for (const name of ['stand-in.sh', 'kafka-run.sh']) hash.update(readFileSync(join(root, 'test/containers', name)));
  hash.update(readFileSync(join(root, 'scripts/kafka/pom.xml')));
  return hash.digest('hex').slice(0, 12);
}
