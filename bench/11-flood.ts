import { type Capture, openPackets } from '../src/kernel/addon.ts';
import type { PacketCapture } from '../src/kernel/packet-capture.ts';
import { waitFor } from '../test/support/wait-for.ts';
import { Child } from './harness/children.ts';
import type { Figure } from './harness/figure.ts';
import { OwnCapture } from './harness/own-capture.ts';
import { bpfTool, xdpRivals } from './harness/rivals.ts';
import { type Context, interleaved, type Row } from './harness/row.ts';
import { needCapture } from './harness/sidecar.ts';
import { BenchVeth } from './harness/veth.ts';

const seconds = 10;
const flows = 65_536;
const intervalMillis = 1_000;

interface Flood {
  /** By the sender. */
  readonly sent: number;
  readonly counted: number;
  /** By the driver of the interface. */
  readonly received: number;
  readonly perSecond: number;
}

/** Sends for the time of a flood; resolves when the interface has taken in all of it. */
async function flood(veth: BenchVeth): Promise<Omit<Flood, 'counted'>> {
  const begun = performance.now();
  const { packets: sent } = await veth.flood(seconds * 1000, flows);
  const perSecond = sent / ((performance.now() - begun) / 1000);
  await waitFor(() => veth.received >= sent, { what: `the interface takes in ${sent} frames`, timeout: 10_000 });
  return { sent, received: veth.received, perSecond };
}

/** Ends an epoch a second, reads it and clears it, as the sidecar does; the sums of what was read and what was seen. */
class Epochs {
  readonly #capture: Capture;
  readonly #packets: PacketCapture;
  readonly #ending = Promise.withResolvers<void>();
  count = 0;
  read = 0;
  seen = 0;

  constructor(capture: Capture, packets: PacketCapture) {
    this.#capture = capture;
    this.#packets = packets;
  }

  async run(): Promise<void> {
    for (let ending = false; !ending; ) {
      const due = Promise.withResolvers<false>();
      const timer = setTimeout(() => due.resolve(false), intervalMillis);
      ending = await Promise.race([due.promise, this.#ending.promise.then(() => true)]);
      clearTimeout(timer);
      await this.#one();
    }
  }

  async #one(): Promise<void> {
    const cut = await this.#capture.advanceEpoch();
    const { packets } = await this.#packets.readFrozen();
    const published = [...packets.entries()].map(([slot, count]) => ({ slot, packets: count }));
    this.read += packets.reduce((sum, count) => sum + count, 0);
    this.seen = cut.packets.reduce((sum, totals) => sum + totals.seen, 0);
    this.#packets.acknowledge({ firstOffset: -1, lastOffset: -1, published });
    await this.#packets.clearFrozen();
    this.count += 1;
  }

  /** One more epoch, and the end. */
  finish(): void {
    this.#ending.resolve();
  }
}

async function oursUnderFlood(): Promise<Flood & { readonly epochs: number }> {
  using veth = BenchVeth.create();
  using own = new OwnCapture();
  const packets = openPackets(own.capture, { keyKind: 'flow', flows: 2 * flows, excluded: [] });
  const { mode, nativeRefusal } = packets.attach(veth.index);
  if (mode !== 'native') throw new Error(`the interface has no native XDP: ${nativeRefusal}`);
  const epochs = new Epochs(own.capture, packets);
  const running = epochs.run();
  const flooded = await Promise.race([flood(veth), running.then(() => undefined)]);
  epochs.finish();
  await running;
  if (flooded === undefined) throw new Error('the epochs ended before the flood');
  if (epochs.seen !== epochs.read)
    throw new Error(`the program has seen ${epochs.seen} packets, and ${epochs.read} were read`);
  return { ...flooded, counted: epochs.read, epochs: epochs.count };
}

async function rivalUnderFlood(): Promise<Flood> {
  using veth = BenchVeth.create();
  await using total = new Child(bpfTool('xdp_total'), [xdpRivals(), veth.name]);
  await waitFor(() => total.output.includes('attached') || total.ended, {
    what: `xdp_total attaches (${total.errors})`,
  });
  const flooded = await flood(veth);
  await total.end('SIGTERM');
  return { ...flooded, counted: Number((await total.succeed()).split('\n')[1]) };
}

async function measure({ rounds = 3, progress }: Context): Promise<readonly Figure[]> {
  needCapture();
  let epochs = 0;
  const [ours = [], rival = []] = await interleaved<Flood>(rounds, [
    async (round) => {
      progress(`round ${round + 1}: ${seconds} s of flood into ours, then into a program that counts one total`);
      const flooded = await oursUnderFlood();
      epochs += flooded.epochs;
      return flooded;
    },
    rivalUnderFlood,
  ]);
  const sent = ours.reduce((sum, flooded) => sum + flooded.sent, 0);
  const missing = (floods: readonly Flood[]) =>
    floods.map(({ sent, received, counted }) => Math.abs(sent - counted) + Math.abs(received - sent));
  const rate = (floods: readonly Flood[]) => floods.map(({ perSecond }) => perSecond);
  return [
    {
      what: `packets of ${sent.toLocaleString('en-US')} sent that are not counted, or twice, across ${epochs} epochs; rival: one total, no keys`,
      unit: '',
      ours: missing(ours),
      rival: missing(rival),
      statistic: 'maximum',
      goals: [{ of: 'ours', atMost: 0 }],
    },
    {
      what: `packets/s meanwhile, ${flows.toLocaleString('en-US')} flows, veth, native XDP, one sender`,
      unit: '/s',
      ours: rate(ours),
      rival: rate(rival),
      goals: [],
    },
  ];
}

export const packetFlood: Row = { target: 11, title: 'packets counted under a flood', measure };
