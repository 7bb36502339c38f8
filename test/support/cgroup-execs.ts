import { afterAll, beforeAll, type TestContext } from 'vitest';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import { newToken, tool, whyNoCapture } from './capture.ts';
import { HandMadeCgroup, Hierarchy, type HierarchyName, runIn } from './cgroups.ts';
import { OneCapture } from './one-capture.ts';

/** Controllers whose hierarchy of version 1 counts for who is at the root of the unified one, the first one first. */
export const cgroupControllers = ['pids', 'memory', 'devices'] as const;

type Paths = Partial<Record<HierarchyName, string>>;

interface ExecsInCgroups {
  /** All cgroups of the file are below it, so that none of the host's is met. */
  readonly top: string;
  /**
   * The record of an exec in cgroups with these paths, and the id that the unified one had. In a hierarchy that is not
   * named it is in the root.
   */
  execIn(paths: Paths, ctx: TestContext): Promise<{ event: ExecEvent; id: string | undefined }>;
}

/** Registers the hierarchies and the capture of a file whose tests exec in cgroups of their own. */
export function execsInCgroups(): ExecsInCgroups {
  const capture = new OneCapture();
  const hierarchies = new Map<HierarchyName, ReturnType<typeof Hierarchy.open>>();

  beforeAll(() => {
    if (whyNoCapture() !== undefined) return;
    for (const name of ['unified', ...cgroupControllers] as const) hierarchies.set(name, Hierarchy.open(name));
  });
  afterAll(() => {
    for (const hierarchy of hierarchies.values()) if (hierarchy instanceof Hierarchy) hierarchy[Symbol.dispose]();
  });

  return {
    top: `/bpf2kafka-test-${process.pid}`,
    async execIn(paths, ctx) {
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
    },
  };
}
