import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DaemonSet } from 'kubernetes-models/apps/v1';
import { Job } from 'kubernetes-models/batch/v1';
import { PriorityClass } from 'kubernetes-models/scheduling.k8s.io/v1';
import { ConfigMap, Namespace, ServiceAccount } from 'kubernetes-models/v1';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

const root = join(import.meta.dirname, '../../..');
const directory = join(root, 'deploy/kubernetes');
const files = readdirSync(directory);
const models = { DaemonSet, Job, PriorityClass, ConfigMap, Namespace, ServiceAccount };

interface Manifest {
  readonly apiVersion: string;
  readonly kind: keyof typeof models;
}

interface SidecarSet {
  readonly spec: { readonly template: { readonly spec: PodSpec } };
}

interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly securityContext: { readonly capabilities: { readonly add?: readonly string[] } };
  readonly volumeMounts: readonly { name: string; mountPath: string }[];
}

interface PodSpec {
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly { readonly name: string }[];
}

const manifestIn = (file: string) => parse(readFileSync(join(directory, file), 'utf8')) as Manifest;

test.each(files)('%s has values as the API wants them', (file) => {
  const manifest = manifestIn(file);
  const model = new models[manifest.kind](manifest as never);
  expect(model).toMatchObject({ apiVersion: manifest.apiVersion, kind: manifest.kind });
  model.validate();
});

test.each(['/etc/passwd', '/var/log/pods', '/var/log/containers'])(
  'the sidecar finds the %s of the node, which names users and pods, and cannot write there',
  (path) => {
    const { containers, volumes } = (manifestIn('daemonset.yaml') as unknown as SidecarSet).spec.template.spec;
    const mount = containers[0]?.volumeMounts.find(({ mountPath }) => mountPath === path);
    expect(mount).toMatchObject({ readOnly: true });
    expect(volumes.find(({ name }) => name === mount?.name)).toMatchObject({ hostPath: { path } });
  },
);

test('with two steps what runs has no capability, is not root, and finds the pins that the first step gives to its user', () => {
  const { initContainers, containers, volumes } = (manifestIn('daemonset-attached.yaml') as unknown as SidecarSet).spec
    .template.spec;
  const [sidecar] = containers;
  expect(sidecar?.securityContext).toMatchObject({
    ...{ runAsUser: 65532, runAsGroup: 65532, runAsNonRoot: true, allowPrivilegeEscalation: false },
    capabilities: { drop: ['ALL'] },
  });
  expect(sidecar?.securityContext.capabilities.add).toBeUndefined();
  const attach = initContainers?.find(({ name }) => name === 'attach');
  expect(attach?.args).toEqual(['attach', '--config', '/etc/bpf2kafka/config.yaml', '--user', '65532:65532']);
  const path = sidecar?.args.at(sidecar.args.indexOf('--pin-path') + 1);
  const mount = sidecar?.volumeMounts.find(({ mountPath }) => mountPath === path);
  expect(volumes.find(({ name }) => name === mount?.name)).toMatchObject({
    hostPath: { path: '/sys/fs/bpf/bpf2kafka' },
  });
});

test('a Secret is optional, read-only, and for root alone', () => {
  const { containers, volumes } = (manifestIn('daemonset.yaml') as unknown as SidecarSet).spec.template.spec;
  const mount = containers[0]?.volumeMounts.find(({ name }) => name === 'secrets');
  expect(mount).toMatchObject({ mountPath: '/etc/bpf2kafka-secrets', readOnly: true });
  const secret = { secretName: 'bpf2kafka', optional: true, defaultMode: 0o400 };
  expect(volumes.find(({ name }) => name === 'secrets')).toMatchObject({ secret });
});

test('no manifest has a field that the API does not know, which it would drop without a word', {
  timeout: 60_000,
}, () => {
  // The models' types know every field, and the compiler refuses others in a literal.
  const place = mkdtempSync(join(root, 'test/unit/deploy/fields-'));
  try {
    for (const [index, file] of files.entries()) {
      const manifest = manifestIn(file);
      const group = manifest.apiVersion === 'v1' ? 'v1' : manifest.apiVersion;
      const source = `import type { I${manifest.kind} } from 'kubernetes-models/${group}';\nexport const manifest: I${manifest.kind} = ${JSON.stringify(manifest)};\n`;
      writeFileSync(join(place, `manifest-${index}.ts`), source);
    }
    const settings = { extends: '../../../../tsconfig.json', include: ['.'] };
    writeFileSync(join(place, 'tsconfig.json'), JSON.stringify(settings));
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    execFileSync(process.execPath, [compiler, '-p', place], { encoding: 'utf8' });
  } finally {
    rmSync(place, { recursive: true });
  }
});
