import { driverCounter, VethPair, whyNoNetwork } from '../../test/support/network.ts';
import { atEnd } from './cleanup.ts';
import { Unmeasurable } from './row.ts';

/** Two interfaces of the bench's own, with nothing else on them; packets are counted on one and sent from the other. */
export class BenchVeth extends VethPair implements Disposable {
  readonly #safety: Disposable;

  private constructor() {
    super();
    this.#safety = atEnd(() => this.remove());
  }

  /** @throws Unmeasurable when this machine cannot make interfaces */
  static create(): BenchVeth {
    const reason = whyNoNetwork();
    if (reason !== undefined) throw new Unmeasurable(reason);
    return new BenchVeth();
  }

  /** Frames that came in where packets are counted, by the driver's own counter. */
  get received(): number {
    return driverCounter(this.name, 'rx_packets');
  }

  [Symbol.dispose](): void {
    this.#safety[Symbol.dispose]();
  }
}
