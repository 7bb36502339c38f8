import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { LoopWatch } from '../../../bench/harness/loop-watch.ts';

function block(millis: number): void {
  const end = performance.now() + millis;
  while (performance.now() < end);
}

it('the main loop was blocked for as long as the longest turn took, also when it is the last one', async () => {
  const first = new LoopWatch();
  block(30);
  await turn();
  block(5);
  expect(first.stop()).toBeGreaterThanOrEqual(29);

  const last = new LoopWatch();
  block(5);
  await turn();
  block(30);
  expect(last.stop()).toBeGreaterThanOrEqual(29);
});
