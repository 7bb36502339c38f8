import { afterEach, beforeAll, beforeEach, type TestContext } from 'vitest';
import { endEverything, newPinPath, removeLeftovers, removePins, whyNoCapture } from './capture.ts';
import { removeNetwork, whyNoNetwork } from './network.ts';
import { closePacketReaders } from './packets.ts';
import { waitFor } from './wait-for.ts';

/** Why this machine cannot run tests of packets, for `ctx.skip`; undefined when it can. */
export const whyNoPackets = whyNoCapture() ?? whyNoNetwork();

/** Removes what killed test runs left. */
export function removePacketLeftovers(): void {
  if (whyNoPackets !== undefined) return;
  removeLeftovers();
  removeNetwork();
}

/** Gives each test of a file pins of its own, and leaves neither them nor an interface behind. */
export function eachWithItsPins(): { readonly path: string } {
  const pins = { path: '' };
  beforeAll(removePacketLeftovers);
  beforeEach((ctx: TestContext) => {
    if (whyNoPackets !== undefined) return ctx.skip(whyNoPackets);
    pins.path = newPinPath();
  });
  afterEach(async () => {
    if (whyNoPackets !== undefined) return;
    closePacketReaders();
    endEverything();
    // A process that a test has killed takes a moment to die.
    await waitFor(
      () => {
        removePins(pins.path);
        return true;
      },
      { what: 'the pins are free' },
    );
    removeNetwork();
  });
  return pins;
}

/** What a call that must fail threw. */
export function failure(call: () => unknown): { code?: string; message?: string } {
  try {
    call();
  } catch (error) {
    return error as Error;
  }
  throw new Error('it did not fail');
}
