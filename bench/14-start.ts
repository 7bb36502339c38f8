import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { startKafka } from '../test/support/kafka.ts';
import type { Figure } from './harness/figure.ts';
import type { Context, Row } from './harness/row.ts';
import { needCapture, Place, Sidecar } from './harness/sidecar.ts';
import { BenchVeth } from './harness/veth.ts';

const timeoutMillis = 30_000;

/** Looks every millisecond. */
async function until(condition: () => boolean, sidecar: Sidecar, begun: number): Promise<number> {
  for (;;) {
    if (condition()) return (performance.now() - begun) / 1000;
    if (sidecar.ended) throw new Error(`the sidecar ended: ${sidecar.errors}`);
    if (performance.now() - begun > timeoutMillis) throw new Error('the sidecar did not start in time');
    await sleep(1);
  }
}

async function measure({ rounds = 5, progress }: Context): Promise<readonly Figure[]> {
  needCapture();
  await using kafka = await startKafka();
  using veth = BenchVeth.create();
  const capturing: number[] = [];
  const ready: number[] = [];
  // The first start makes the topics, and is not counted.
  for (let round = 0; round <= rounds; round += 1) {
    progress(round === 0 ? 'a start that is not counted' : `start ${round}`);
    await using place = new Place([veth.name]);
    const begun = performance.now();
    await using sidecar = new Sidecar(place, kafka.brokers, ['--create-topics']);
    // Links are pinned last, once they are attached (bpf/abi.h), and that of the interface after that of exec.
    const captures = await until(() => existsSync(`${place.pinPath}/v1/packet_link_${veth.index}`), sidecar, begun);
    const isReady = await until(() => sidecar.output.startsWith('ready'), sidecar, begun);
    await sidecar.finish();
    if (round === 0) continue;
    capturing.push(captures);
    ready.push(isReady);
  }
  return [
    {
      what: 'start to capturing: from the spawn of `bpf2kafka run` to exec and packets linked, nothing pinned before',
      unit: 's',
      ours: capturing,
      goals: [{ of: 'ours', atMost: 1 }],
    },
    { what: 'start to `ready`: the broker has answered too', unit: 's', ours: ready, goals: [] },
  ];
}

export const start: Row = { target: 14, title: 'start to capturing', measure };
