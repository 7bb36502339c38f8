import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest';
import { newToken, tool, whyNoCapture } from '../support/capture.ts';
import { containerPaths, id, otherPaths } from '../support/cgroup-paths.ts';
import { HandMadeCgroup, Hierarchy, type HierarchyName, runIn } from '../support/cgroups.ts';
import { OneCapture } from '../support/one-capture.ts';

/** The cgroup of an exec, and what is told from its path, against cgroups that the test makes. */

const capture = new OneCapture();
const hierarchies = new Map<HierarchyName, ReturnType<typeof Hierarchy.open>>();
/** Controllers whose hierarchy of version 1 counts for who is at the root of the unified one, the first one first. */
const controllers = ['pids', 'memory', 'devices'] as const;
/** All cgroups of this file are below it, so that none of the host's is met. */
const top = `/bpf2kafka-test-${process.pid}`;

beforeAll(() => {
  if (whyNoCapture() !== undefined) return;
  for (const name of ['unified', ...controllers] as const) hierarchies.set(name, Hierarchy.open(name));
});

afterAll(() => {
  for (const hierarchy of hierarchies.values()) if (hierarchy instanceof Hierarchy) hierarchy[Symbol.dispose]();
});

type Paths = Partial<Record<HierarchyName, string>>;

/**
 * The record of an exec in cgroups with these paths, and the id that the unified one had. In a hierarchy that is not
 * named it is in the root.
 */
async function execIn(paths: Paths, ctx: TestContext) {
  using made = new DisposableStack();
  const cgroups = new Map<HierarchyName, HandMadeCgroup>();
  for (const [name, hierarchy] of hierarchies) {
    const path = paths[name];
    if (hierarchy instanceof Hierarchy) cgroups.set(name, made.use(new HandMadeCgroup(hierarchy, path ?? '/')));
    else ctx.skip(path !== undefined || name === 'unified', hierarchy.whyNot);
  }
  const unified = cgroups.get('unified')?.id;
  const token = newToken();
  runIn([...cgroups.values()], tool('noop'), [token]);
  const { event } = await capture.reader.find((e) => e.args?.[1] === token, 'noop');
  return { event, id: unified };
}

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

describe('the container', () => {
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
});

describe('version 1, for who is at the root of the unified hierarchy', () => {
  const container = { container_id: id, container_runtime: 'docker', pod_uid: null };

  test.for(controllers)('the hierarchy of %s', async (controller, ctx) => {
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
