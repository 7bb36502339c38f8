import { openPackets } from '../src/kernel/addon.ts';
import { minimum } from './harness/arithmetic.ts';
import { Child } from './harness/children.ts';
import { type Figure, shown } from './harness/figure.ts';
import { OwnCapture } from './harness/own-capture.ts';
import { bpfTool, xdpRivals } from './harness/rivals.ts';
import type { Context, Row } from './harness/row.ts';
import { needCapture } from './harness/sidecar.ts';
import { BenchVeth } from './harness/veth.ts';

/** As the sidecar has it by default. */
const flows = 131_072;

/** What xdp_cost prints of one program. */
interface Cost {
  readonly flows: number;
  readonly program: 'empty' | 'parse_only' | 'bare_hash' | 'ours';
  /** A packet, one value a round. */
  readonly nanos: readonly number[];
}

async function measure({ rounds = 9, progress }: Context): Promise<readonly Figure[]> {
  needCapture();
  const cost = bpfTool('xdp_cost');
  const rivals = xdpRivals();
  using veth = BenchVeth.create();
  using own = new OwnCapture();
  openPackets(own.capture, { keyKind: 'flow', flows, excluded: [] }).attach(veth.index);
  progress(`${rounds} rounds of each program in turn`);
  const link = `${own.pinPath}/v1/packet_link_${veth.index}`;
  await using child = new Child(cost, [rivals, link, veth.name, String(flows), String(rounds)]);
  return figuresOf(JSON.parse(await child.succeed()) as Cost[]);
}

/** What brings the next flow and calls a program is taken off all of them alike. */
export function figuresOf(costs: readonly Cost[]): Figure[] {
  return [...new Set(costs.map((cost) => cost.flows))].map((count) => {
    const nanosOf = (program: Cost['program']) =>
      costs.find((cost) => cost.flows === count && cost.program === program)?.nanos ?? [];
    const empty = minimum(nanosOf('empty'));
    const net = (program: Cost['program']) => nanosOf(program).map((nanos) => nanos - empty);
    const parse = shown(minimum(net('parse_only')));
    const name = `${count.toLocaleString('en-US')} ${count === 1 ? 'flow' : 'flows'}`;
    return {
      what: `XDP a packet, ${name} (parser alone: ${parse} ns); rival: a preallocated hash with the same key and nothing else`,
      unit: 'ns',
      ours: net('ours'),
      rival: net('bare_hash'),
      // What comes between makes a round slower and never quicker.
      statistic: 'minimum',
      goals: [{ of: 'ratio', atMost: 1.1 }],
    };
  });
}

export const xdpCost: Row = { target: 10, title: 'XDP cost a packet', measure };
