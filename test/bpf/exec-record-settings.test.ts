import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CaptureReader, newPinPath, newToken, removePins, run, tool, whyNoCapture } from '../support/capture.ts';
import { OneCapture } from '../support/one-capture.ts';

/** What is captured of argv and of the environment, as the settings say. */

const asByDefault = new OneCapture();

type Settings = ConstructorParameters<typeof CaptureReader>[2];

/** The record of an exec of noop; what the rest of the host has left in the ring is given up, so that there is room. */
async function execNoop(reader: CaptureReader, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  reader.read();
  reader.commit();
  reader.records.length = 0;
  const { pid, status } = spawnSync(tool('noop'), args, { env, argv0: 'noop' });
  if (status !== 0) throw new Error(`noop ended with ${status}`);
  return (await reader.find((event) => event.pid === pid, 'noop')).event;
}

/** The record of an exec of noop under these settings. */
async function capturedWith(settings: Settings, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const pinPath = newPinPath();
  try {
    using reader = new CaptureReader(pinPath, undefined, settings);
    return await execNoop(reader, args, env);
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
  /** The kernel side knows whether variables are wanted, and not which: one capture serves the tests. */
  const asked = ['EMPTY', 'LD_PRELOAD', 'MISSING', 'BYTES', 'FIRST', 'PADDING', 'LAST'];
  let reader: CaptureReader;
  beforeAll(() => {
    reader = new CaptureReader(newPinPath(), undefined, { env: asked });
  });
  afterAll(() => {
    reader?.close();
    if (reader !== undefined) removePins(reader.pinPath);
  });

  test('nothing, when nothing was asked for', async () => {
    const event = await execNoop(asByDefault.reader, [], { LD_PRELOAD: '/x.so' });
    expect(event).toMatchObject({ env: null, degraded: [] });
  });

  test('the variables that were asked for', async () => {
    const env = { PATH: '/bin', LD_PRELOAD: '/x.so /y.so', EMPTY: '', BYTES: 'é=😀' };
    const event = await execNoop(reader, ['a', 'b'], env);
    expect(event).toMatchObject({ args: ['noop', 'a', 'b'], degraded: [] });
    expect(event.env).toEqual({ LD_PRELOAD: '/x.so /y.so', EMPTY: '', BYTES: 'é=😀' });
  });

  test('an empty one has none of them', async () => {
    expect(await execNoop(reader, [])).toMatchObject({ env: {}, degraded: [] });
  });

  test('of a long one the first 8 KiB, and it says so', async () => {
    const event = await execNoop(reader, [], { FIRST: '1', PADDING: 'x'.repeat(9000), LAST: '2' });
    expect(event).toMatchObject({ degraded: ['env'] });
    expect(event.env).toEqual({ FIRST: '1' });
  });
});
