import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type CommitKinds, CommittedByEpoch } from '../../../src/sources/committed-by-epoch.ts';

type Step =
  | 'an epoch begins'
  | 'ask'
  | 'ask again'
  | { readonly kind: Kind; readonly count: number; readonly back: number };
type Kind = keyof CommitKinds;

const record = fc.record({
  kind: fc.constantFrom<Kind>('acknowledged', 'undecodable', 'evicted', 'missing'),
  count: fc.integer({ min: 1, max: 3 }),
  /** Epochs before the present one; far back for what was in the spool. */
  back: fc.nat(12),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: record },
  {
    weight: 4,
    arbitrary: fc.constantFrom<Step>('an epoch begins', 'an epoch begins', 'ask', 'ask again', 'ask again'),
  },
);

test('counts what is of later epochs, however many end while one is open', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 80 }), fc.boolean(), (steps, onItsWay) => {
      const committed = new CommittedByEpoch();
      const all: { epoch: number; kind: Kind }[] = [];
      let present = 20;
      let asked: number | undefined;
      for (const step of steps) {
        if (step === 'an epoch begins') {
          present += 1;
        } else if (typeof step === 'object') {
          const epoch = present - step.back;
          committed.of(epoch)[step.kind] += step.count;
          for (let i = 0; i < step.count; i += 1) all.push({ epoch, kind: step.kind });
        } else {
          // The newest whose cut is known: that of the one before the present may be on its way.
          if (step === 'ask') asked = Math.max(asked ?? 0, present - (onItsWay ? 2 : 1));
          if (asked === undefined) continue;
          const through = asked;
          const after = (kind: Kind) => all.filter((of) => of.kind === kind && of.epoch > through).length;
          expect(committed.after(through)).toEqual({
            acknowledged: after('acknowledged'),
            undecodable: after('undecodable'),
            evicted: after('evicted'),
            missing: after('missing'),
          });
        }
      }
    }),
    { numRuns: 1_000 },
  );
});

test('the newest is that of the newest record, or the one that was asked for', () => {
  const committed = new CommittedByEpoch();
  expect(committed.newest).toBe(-1);
  committed.of(8);
  committed.of(7);
  expect(committed.newest).toBe(8);
  committed.after(9);
  expect(committed.newest).toBe(9);
});
