import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { containerOf } from '../../../src/enrich/container.ts';
import { containerPaths, id, otherPaths, uid } from '../../support/cgroup-paths.ts';

describe('the container of a cgroup path', () => {
  test.each(containerPaths)('%s', (_what, path, containerId, runtime, podUid) => {
    expect(containerOf(path)).toEqual({ id: containerId, runtime, podUid });
  });

  test.each(otherPaths)('none: %s', (_what, path) => {
    expect(containerOf(path)).toEqual({ id: null, runtime: null, podUid: null });
  });

  test('whatever names a cgroup has, an id is 64 hexadecimal digits or the name of a machine, out of the path', () => {
    const part = fc.oneof(
      fc.constantFrom(
        `docker-${id}.scope`,
        id,
        'kubepods',
        `pod${uid}`,
        'lxc',
        'lxc.payload.a b',
        'payload',
        'machine-\\x2.scope',
        '',
        '..',
        '\n',
      ),
      fc.string({ unit: 'binary', maxLength: 255 }),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const path = `/${parts.join('/')}`;
        const { id: found, runtime, podUid } = containerOf(path);
        if (runtime !== 'lxc' && runtime !== 'systemd-nspawn' && found !== null)
          expect(found).toMatch(/^[0-9a-f]{64}$/);
        if (podUid !== null) expect(podUid).toMatch(/^[0-9a-f-]{32,36}$/);
        if (found !== null && runtime !== 'systemd-nspawn') expect(path).toContain(found);
      }),
    );
  });
});
