import { expect, test } from 'vitest';
import type { EpochCut } from '../../../src/kernel/counts.ts';
import { EpochsOnDemand } from '../../../src/ledger/epochs.ts';
import { settle } from '../producers/fakes.ts';

/** An epoch ends when the test says so; like the kernel side it refuses a second one meanwhile. */
function setUp() {
  let epoch = 7;
  let ending: PromiseWithResolvers<EpochCut> | undefined;
  const epochs = new EpochsOnDemand({
    advanceEpoch: async () => {
      if (ending !== undefined) throw new Error('it is being ended already');
      ending = Promise.withResolvers();
      return ending.promise;
    },
  });
  const take = async () => {
    await settle();
    const taken = ending;
    ending = undefined;
    return taken;
  };
  const end = async () => (await take())?.resolve({ epoch: epoch++ } as EpochCut);
  const fail = async () => (await take())?.reject(new Error('no barrier'));
  return { epochs, end, fail };
}

test('each caller has a cut that was made after its call, one at a time', async () => {
  const { epochs, end } = setUp();
  expect(epochs.newest).toBeUndefined();
  const first = epochs.advance();
  const second = epochs.next();
  await end();
  expect(await first).toEqual({ epoch: 7 });
  expect(epochs.newest).toEqual({ epoch: 7 });
  await end();
  expect(await second).toEqual({ epoch: 8 });
  expect(epochs.newest).toEqual({ epoch: 8 });
});

test('a failure is told to its caller, and the next one goes on', async () => {
  const { epochs, end, fail } = setUp();
  const first = epochs.advance();
  const second = epochs.advance();
  const refused = expect(first).rejects.toThrow('no barrier');
  await fail();
  await refused;
  await end();
  expect(await second).toEqual({ epoch: 7 });
});
