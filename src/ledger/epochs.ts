import type { Capture } from '../kernel/addon.ts';
import type { EpochCut } from '../kernel/counts.ts';

/**
 * Who ends epochs. There is one epoch for all streams, so whoever needs a cut takes part in the rhythm of the one that
 * makes them: with packets their source, which ends none while packets wait for their acknowledgement.
 */
export interface Epochs {
  /** The newest cut of this process. */
  readonly newest: EpochCut | undefined;
  /**
   * The cut that ends the present epoch, so that all that has happened before this call is in it. Made at once, or as
   * soon as the packets before it are acknowledged.
   */
  advance(): Promise<EpochCut>;
  /** The next cut that is made anyway, or one that is made now when nobody makes any. */
  next(): Promise<EpochCut>;
}

/** Epochs end when somebody asks, one at a time: nobody else needs them. */
export class EpochsOnDemand implements Epochs {
  readonly #capture: Pick<Capture, 'advanceEpoch'>;
  #newest: EpochCut | undefined;
  #idle: Promise<void> = Promise.resolve();

  constructor(capture: Pick<Capture, 'advanceEpoch'>) {
    this.#capture = capture;
  }

  get newest(): EpochCut | undefined {
    return this.#newest;
  }

  advance(): Promise<EpochCut> {
    // Not shared with a call that waits already: its epoch may have ended before this one came.
    const cut = this.#idle.then(() => this.#advance());
    this.#idle = cut.then(
      () => {},
      () => {}, // told to the caller, and the next one tries for itself
    );
    return cut;
  }

  next(): Promise<EpochCut> {
    return this.advance();
  }

  async #advance(): Promise<EpochCut> {
    this.#newest = await this.#capture.advanceEpoch();
    return this.#newest;
  }
}
