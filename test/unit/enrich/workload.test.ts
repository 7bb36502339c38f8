import { expect, test } from 'vitest';
import type { KubernetesNames } from '../../../src/enrich/kubernetes.ts';
import { Workloads } from '../../../src/enrich/workload.ts';

const id = '3350ade4226f0adcd9e4e9545d7c2a16a5aa362d12315f2a88e2024cea1246cf';
const uid = 'b6a16766-05ee-446a-8ee5-ff96a817f47c';
const path = `/kubepods/pod${uid}/crio-${id}`;

/** Workloads, and what the kubelet's directories say at the moment. */
function setUp() {
  const state: { names: KubernetesNames; asked: number } = {
    names: { namespace: null, podName: null, containerName: null },
    asked: 0,
  };
  const workloads = new Workloads({
    of() {
      state.asked += 1;
      return state.names;
    },
  });
  return { workloads, state };
}

test('outside of pods there are no names, and nobody is asked', () => {
  const { workloads, state } = setUp();
  const names = { namespace: null, podName: null, containerName: null };
  expect(workloads.of(`/docker/${id}`)).toMatchObject({ container: { id, runtime: 'docker' }, ...names });
  expect(workloads.of('/')).toMatchObject({ container: { id: null, podUid: null }, ...names });
  expect(state.asked).toBe(0);
});

test('names that are missing are asked for until they are there, and then no more', () => {
  const { workloads, state } = setUp();
  expect(workloads.of(path)).toMatchObject({ namespace: undefined, podName: undefined, containerName: undefined });
  state.names = { namespace: 'shop', podName: 'web', containerName: null };
  expect(workloads.of(path)).toMatchObject({ namespace: 'shop', podName: 'web', containerName: undefined });
  state.names = { namespace: 'shop', podName: 'web', containerName: 'nginx' };
  const known = workloads.of(path);
  expect(known).toMatchObject({ namespace: 'shop', podName: 'web', containerName: 'nginx' });
  expect(workloads.of(path)).toBe(known);
  expect(state.asked).toBe(3);
});

test('a process in a pod and in none of its containers lacks no name of a container', () => {
  const { workloads, state } = setUp();
  state.names = { namespace: 'shop', podName: 'web', containerName: null };
  const pod = workloads.of(`/kubepods/pod${uid}`);
  expect(pod).toMatchObject({ container: { id: null, podUid: uid }, podName: 'web', containerName: null });
  expect(workloads.of(`/kubepods/pod${uid}`)).toBe(pod);
});
