import { expect, test } from 'vitest';
import { execsInCgroups } from '../support/cgroup-execs.ts';
import { containerPaths, otherPaths } from '../support/cgroup-paths.ts';

/** The container and the pod that are told from the cgroup of an exec, against cgroups that the test makes. */

const { top, execIn } = execsInCgroups();

test.for(containerPaths)('%s', async ([, path, container_id, container_runtime, pod_uid], ctx) => {
  const { event, id } = await execIn({ unified: top + path }, ctx);
  expect(event).toMatchObject({ cgroup_path: top + path, cgroup_id: id, container_id, container_runtime, pod_uid });
});

const paths = otherPaths.filter(([, path]) => path.length > 1);
test.for(paths)('none: %s', async ([, path], ctx) => {
  const { event } = await execIn({ unified: top + path }, ctx);
  expect(event).toMatchObject({
    cgroup_path: top + path,
    ...{ container_id: null, container_runtime: null, pod_uid: null, degraded: [] },
  });
});
