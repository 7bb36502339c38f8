import { patience } from './wait-for.ts';

/**
 * How often a test does again what goes wrong only now and then. A machine that is emulated takes some twenty times as
 * long for each round, and gets the tenth of them: what the host's kernel has shown that often holds for the same
 * programs there, and a few rounds tell what differs between kernels.
 */
export function rounds(natively: number): number {
  return Math.ceil(natively / patience);
}
