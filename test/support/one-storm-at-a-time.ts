import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { SharedTurn } from './turn.ts';

/**
 * For what makes storms that fill rings, or counts exactly what a small ring loses: every capture sees the execs of the
 * whole host. It waits until none of another file is on; what needs no turn runs beside.
 */
export const stormTurn = new SharedTurn('storm');

/** Milliseconds for a hook that takes the turn: the turn itself gives up before, and says what it waited for. */
export const stormTurnTimeout = 2_000_000;

/** Each test of this file, or of this describe, waits for its turn. Its own limit begins behind that. */
export function oneStormAtATime(): void {
  let own: Disposable | undefined;
  beforeEach(async () => {
    own = await stormTurn.take();
  }, stormTurnTimeout);
  afterEach(() => {
    own?.[Symbol.dispose]();
    own = undefined;
  });
}

/** All tests of this describe, with the hooks below, share one turn: their capture outlives each of them. */
export function oneStormForAll(): void {
  let own: Disposable | undefined;
  beforeAll(async () => {
    own = await stormTurn.take();
  }, stormTurnTimeout);
  afterAll(() => own?.[Symbol.dispose]());
}
