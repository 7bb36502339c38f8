import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Kubernetes } from '../../../src/enrich/kubernetes.ts';
import { waitFor } from '../../support/wait-for.ts';
import { FakeClock, fakeLog } from '../producers/fakes.ts';

const uid = 'b6a16766-05ee-446a-8ee5-ff96a817f47c';
const other = 'c6a16766-05ee-446a-8ee5-ff96a817f47c';
const id = '3350ade4226f0adcd9e4e9545d7c2a16a5aa362d12315f2a88e2024cea1246cf';
const web = { namespace: 'shop', podName: 'web-5d4f8-x2', containerName: null };

describe('names out of the log directories of a kubelet', () => {
  let logDirectory: string;
  let clock: FakeClock;
  let said: ReturnType<typeof fakeLog>;
  let kubernetes: Kubernetes;
  beforeEach(async () => {
    logDirectory = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-logs-'));
    clock = new FakeClock();
    said = fakeLog();
    kubernetes = new Kubernetes({ clock, log: said.log, logDirectory });
  });
  afterEach(async () => {
    kubernetes.close();
    await rm(logDirectory, { recursive: true });
  });

  const addPod = (name: string) => mkdir(join(logDirectory, 'pods', name), { recursive: true });
  const addLog = async (name: string) => {
    await mkdir(join(logDirectory, 'containers'), { recursive: true });
    await symlink('/nowhere', join(logDirectory, 'containers', name));
  };

  test('are those of the pod, and of its container when that has a log', async () => {
    await addPod(`shop_web-5d4f8-x2_${uid}`);
    await addPod('kube-system_etcd-node1_4c9203fdbdc5d2fb1d0d1ec9ef7a1a0d');
    await addLog(`web-5d4f8-x2_shop_nginx-1-${id}.log`);
    await kubernetes.read();
    expect(kubernetes.of(uid, null)).toEqual(web);
    expect(kubernetes.of(uid, id)).toEqual({ ...web, containerName: 'nginx-1' });
    expect(kubernetes.of(uid, id.replace('3', '4'))).toEqual(web);
    expect(kubernetes.of('4c9203fdbdc5d2fb1d0d1ec9ef7a1a0d', null).podName).toBe('etcd-node1');
  });

  test('are those of the container where there are no directories of pods', async () => {
    await addLog(`web-5d4f8-x2_shop_nginx-${id}.log`);
    await kubernetes.read();
    expect(kubernetes.of(uid, id)).toEqual({ ...web, containerName: 'nginx' });
  });

  test('of the container are not said when it belongs to another pod than the uid', async () => {
    await addPod(`shop_web-5d4f8-x2_${uid}`);
    await addLog(`db-0_shop_postgres-${id}.log`);
    await kubernetes.read();
    expect(kubernetes.of(uid, id)).toEqual(web);
  });

  test('of a new pod are known without anybody asking, and so are those of its containers', async () => {
    await addPod(`shop_first_${other}`);
    await addLog(`first_shop_nginx-${id.replace('3', '5')}.log`);
    await kubernetes.read();
    await addPod(`shop_web-5d4f8-x2_${uid}`);
    await waitFor(() => kubernetes.of(uid, null).podName, { what: 'the pod is seen' });
    await addLog(`web-5d4f8-x2_shop_nginx-${id}.log`);
    await waitFor(() => kubernetes.of(uid, id).containerName, { what: 'the container is seen' });
    expect(kubernetes.of(uid, id)).toEqual({ ...web, containerName: 'nginx' });
  });

  test('that are missing are looked for once a second, also where there was no directory before', async () => {
    await kubernetes.read();
    const nothing = { namespace: null, podName: null, containerName: null };
    expect(kubernetes.of(uid, null)).toEqual(nothing);
    await addPod(`shop_web-5d4f8-x2_${uid}`);
    await clock.advance(999);
    expect(kubernetes.of(uid, null)).toEqual(nothing);
    await clock.advance(1);
    expect(kubernetes.of(uid, null)).toEqual(nothing);
    await waitFor(() => kubernetes.of(uid, null).podName, { what: 'the pod is found' });
    expect(kubernetes.of(uid, null)).toEqual(web);
    expect(said.lines).toEqual([]);
  });

  test('stay when the kubelet has removed the directory: records of the pod may still be on their way', async () => {
    await addPod(`shop_web-5d4f8-x2_${uid}`);
    await kubernetes.read();
    await rm(join(logDirectory, 'pods', `shop_web-5d4f8-x2_${uid}`), { recursive: true });
    await clock.advance(1_000);
    await kubernetes.read();
    expect(kubernetes.of(uid, null)).toEqual(web);
  });

  test('are not made of what the kubelet does not write', async () => {
    for (const name of ['lost+found', `shop_${uid}`, `shop_a_b_${uid}`, `Shop_web_${uid}`, `shop_web_${uid}x`]) {
      await addPod(name);
    }
    await addLog(`web_shop_nginx-${id.slice(1)}.log`);
    await addLog(`web_shop_nginx-${id}.log.gz`);
    await kubernetes.read();
    expect(kubernetes.of(uid, id)).toEqual({ namespace: null, podName: null, containerName: null });
  });

  test('that cannot be read are said once, with the directory', async () => {
    await writeFile(join(logDirectory, 'pods'), '');
    await kubernetes.read();
    await kubernetes.read();
    expect(said.lines.map(({ level, fields }) => [level, fields.path])).toEqual([['warn', join(logDirectory, 'pods')]]);
  });
});
