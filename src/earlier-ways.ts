import type { Clock } from './clock.ts';
import type { EarlierRing, EventRing } from './kernel/addon.ts';
import type { EventWay } from './pipelines.ts';

/** The records of a ring that an earlier version wrote to, on their way to the topic of the stream. */
export interface EarlierWay extends EventWay {
  readonly ring: EarlierRing;
}

/** From here on the present ring does not wait for the earlier ones any more. */
const highWater = 0.5;
/** How often it is looked at (milliseconds). */
const lookEvery = 20;

/**
 * Publishes the rings of earlier versions to their end, oldest first, and gives each up as it is empty.
 * @param publish as `publish` of the sidecar; resolves when the ring is empty and everything of it is acknowledged
 */
export async function publishEarlier(
  ways: readonly EarlierWay[],
  publish: (way: EventWay) => Promise<void>,
): Promise<void> {
  for (const way of ways) {
    way.source.finish();
    await publish(way);
    way.ring.retire();
  }
}

/** Resolves when the ring fills, or when the signal aborts. */
export async function fills(ring: Pick<EventRing, 'status'>, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const { waitingBytes, ringBytes } = ring.status();
    if (waitingBytes > highWater * ringBytes) return;
    await clock.sleep(lookEvery, signal);
  }
}
