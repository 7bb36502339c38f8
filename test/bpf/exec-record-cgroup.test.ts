import { describe, expect, test } from 'vitest';
import { cgroupControllers, execsInCgroups } from '../support/cgroup-execs.ts';
import { id } from '../support/cgroup-paths.ts';

/** The cgroup of an exec, against cgroups that the test makes. */

const { top, execIn } = execsInCgroups();

const levels = (count: number) => top + '/level'.repeat(count - 1);

describe('path and id in the unified hierarchy', () => {
  test('of the root', async (ctx) => {
    const { event } = await execIn({}, ctx);
    expect(event).toMatchObject({ cgroup_path: '/', cgroup_id: '1', degraded: [] });
  });

  test.for([1, 10, 128])('%i levels below it', async (count, ctx) => {
    const { event, id } = await execIn({ unified: levels(count) }, ctx);
    expect(event).toMatchObject({ cgroup_path: levels(count), cgroup_id: id, degraded: [] });
  });

  test('more than 128 levels: no path rather than a wrong one, and it says so', async (ctx) => {
    const { event, id } = await execIn({ unified: levels(129) }, ctx);
    expect(event).toMatchObject({ cgroup_path: null, container_id: null, cgroup_id: id });
    // And with it what is told from it.
    expect(event.degraded).toEqual(expect.arrayContaining(['cgroup_path', 'container_id', 'pod_uid']));
  });
});

describe('version 1, for who is at the root of the unified hierarchy', () => {
  const container = { container_id: id, container_runtime: 'docker', pod_uid: null };

  test.for(cgroupControllers)('the hierarchy of %s', async (controller, ctx) => {
    const { event } = await execIn({ [controller]: `${top}/docker/${id}` }, ctx);
    expect(event).toMatchObject({ cgroup_path: `${top}/docker/${id}`, cgroup_id: '1', ...container, degraded: [] });
  });

  test.for([
    ['pids', 'memory'],
    ['memory', 'devices'],
  ] as const)('%s before %s', async ([first, second], ctx) => {
    const { event } = await execIn({ [first]: `${top}/${first}`, [second]: `${top}/${second}` }, ctx);
    expect(event).toMatchObject({ cgroup_path: `${top}/${first}` });
  });

  test('the unified hierarchy before all of them', async (ctx) => {
    const { event, id } = await execIn({ unified: top, pids: `${top}/pids`, devices: `${top}/devices` }, ctx);
    expect(event).toMatchObject({ cgroup_path: top, cgroup_id: id, container_id: null });
  });
});
