import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { CaptureReader, newPinPath, newToken, removePins, run, tool, whyNoCapture } from '../support/capture.ts';

/** What is captured of argv and of the environment, as the settings say. */

type Settings = ConstructorParameters<typeof CaptureReader>[2];

/** The record of an exec of noop under these settings. */
async function capturedWith(settings: Settings, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const pinPath = newPinPath();
  try {
    using reader = new CaptureReader(pinPath, undefined, settings);
    const { pid, status } = spawnSync(tool('noop'), args, { env, argv0: 'noop' });
    if (status !== 0) throw new Error(`noop ended with ${status}`);
    return (await reader.find((event) => event.pid === pid, 'noop')).event;
  } finally {
    removePins(pinPath);
  }
}

describe.skipIf(whyNoCapture() !== undefined)('of argv', () => {
  test('the program alone', async () => {
    expect(await capturedWith({ args: 'program' }, ['secret', 'x'])).toMatchObject({
      ...{ args: ['noop'], args_count: 3, args_bytes: 14, args_captured_bytes: 5, args_truncated: true },
      ...{ args_raw: null, degraded: [] },
    });
  });

  test('nothing', async () => {
    expect(await capturedWith({ args: 'none' }, ['secret'])).toMatchObject({
      ...{ args: null, args_count: 2, args_bytes: 12, args_captured_bytes: 0, args_truncated: true, degraded: [] },
    });
  });

  test('as a later start says, under the same pins', async () => {
    const pinPath = newPinPath();
    try {
      const seen: (string[] | null)[] = [];
      for (const args of ['full', 'none', 'none', 'full'] as const) {
        using reader = new CaptureReader(pinPath, undefined, { args });
        const token = newToken();
        const { pid } = run(tool('noop'), [token]);
        const { event } = await reader.find((each) => each.pid === pid, 'noop');
        seen.push(event.args?.slice(1) ?? null);
        expect(event.args?.[1] ?? token).toBe(token);
      }
      expect(seen.map((args) => args !== null)).toEqual([true, false, false, true]);
    } finally {
      removePins(pinPath);
    }
  });
});

describe.skipIf(whyNoCapture() !== undefined)('of the environment', () => {
  test('nothing, when nothing was asked for', async () => {
    expect(await capturedWith({}, [], { LD_PRELOAD: '/x.so' })).toMatchObject({ env: null, degraded: [] });
  });

  test('the variables that were asked for', async () => {
    const env = { PATH: '/bin', LD_PRELOAD: '/x.so /y.so', EMPTY: '', BYTES: 'é=😀' };
    const names = ['EMPTY', 'LD_PRELOAD', 'MISSING', 'BYTES'];
    const event = await capturedWith({ env: names }, ['a', 'b'], env);
    expect(event).toMatchObject({
      env: { LD_PRELOAD: '/x.so /y.so', EMPTY: '', BYTES: 'é=😀' },
      args: ['noop', 'a', 'b'],
      degraded: [],
    });
    expect(event.env).not.toHaveProperty('MISSING');
    expect(event.env).not.toHaveProperty('PATH');
  });

  test('an empty one has none of them', async () => {
    expect(await capturedWith({ env: ['LD_PRELOAD'] }, [])).toMatchObject({ env: {}, degraded: [] });
  });

  test('of a long one the first 8 KiB, and it says so', async () => {
    const env = { FIRST: '1', PADDING: 'x'.repeat(9000), LAST: '2' };
    const event = await capturedWith({ env: ['FIRST', 'PADDING', 'LAST'] }, [], env);
    expect(event).toMatchObject({ env: { FIRST: '1' }, degraded: ['env'] });
    expect(event.env).not.toHaveProperty('LAST');
    expect(event.env).not.toHaveProperty('PADDING');
  });
});
