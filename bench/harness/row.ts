import type { Figure } from './figure.ts';

export interface Context {
  /** How often each is measured; a row's own number when absent. */
  readonly rounds: number | undefined;
  /** The long form where a row has one. */
  readonly long: boolean;
  /** What goes on, for a reader who waits. */
  readonly progress: (text: string) => void;
}

/** One target of the bench: one file, named by its number. */
export interface Row {
  readonly target: number;
  readonly title: string;
  /** @throws Unmeasurable when this machine does not allow it */
  measure(context: Context): Promise<readonly Figure[]>;
}

/** Not a failure: this machine lacks what the row needs. */
export class Unmeasurable extends Error {}

/** Runs the sides in turn, A B A B …, so that a machine whose speed drifts is as unkind to one as to the other. */
export async function interleaved<Sample>(
  rounds: number,
  sides: readonly ((round: number) => Promise<Sample>)[],
): Promise<Sample[][]> {
  const samples: Sample[][] = sides.map(() => []);
  for (let round = 0; round < rounds; round += 1)
    for (const [index, side] of sides.entries()) (samples[index] as Sample[]).push(await side(round));
  return samples;
}
