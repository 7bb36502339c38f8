import type { Inlets } from './inlets.ts';
import type { EventRing } from './kernel/event-ring.ts';
import { lossReasons } from './ledger/account.ts';
import type { Ledger } from './ledger/ledger.ts';
import type {
  DeliveryFigures,
  Figures,
  PacketFigures,
  RingFigures,
  SpoolFigures,
  StreamFigures,
} from './metrics/figures.ts';
import type { Outlets } from './outlets.ts';
import type { PacketPipeline } from './pipelines.ts';
import type { LedgerEntry } from './schemas/ledger-entry.ts';

/** The parts of a sidecar, each of which counts for itself. */
export interface CountingParts {
  readonly capturing: boolean;
  readonly inlets: Inlets;
  readonly outlets: Outlets;
  readonly ledger: Pick<Ledger, 'newest'>;
  readonly packets: PacketPipeline | undefined;
  readonly spool: SpoolFigures;
}

/** Reads what is counted anyway; nothing is done for it between two calls. */
export function figuresOf({ capturing, inlets, outlets, ledger, packets, spool }: CountingParts): Figures {
  const { exec, exit } = inlets.capture;
  const execRings = outlets.exec === undefined ? [] : [ringFigures('exec', exec), ringFigures('exec_bare', exec.bare)];
  return {
    capturing,
    epoch: inlets.capture.status().epoch,
    streams: ledger.newest.map(streamFigures),
    rings: [...execRings, ...(exit === undefined ? [] : [ringFigures('exit', exit)])],
    spool,
    packets: inlets.packets && packetFigures(inlets.packets, packets),
    deliveries: Object.values(outlets).flatMap((outlet) => (outlet === undefined ? [] : [deliveryFigures(outlet)])),
  };
}

function streamFigures({
  stream_name: stream,
  interval_end: at,
  unobserved_micros,
  ...entry
}: LedgerEntry): StreamFigures {
  const { seen, published, pending, filtered, lost, unexplained } = entry;
  // A count that is there before it grows is a loss that an alert can see; of packets nothing is lost.
  const none =
    stream === 'exec' || stream === 'exit' ? Object.fromEntries(lossReasons.map((reason) => [reason, 0])) : {};
  return {
    stream,
    at,
    seen,
    published,
    pending,
    filtered,
    lost: { ...none, ...lost },
    unexplained,
    unobservedMicros: unobserved_micros,
  };
}

function ringFigures(ring: string, { status }: Pick<EventRing, 'status'>): RingFigures {
  const { ringBytes, waitingBytes, highWaterBytes } = status();
  return { ring, capacityBytes: ringBytes, usedBytes: waitingBytes, highWaterBytes };
}

function packetFigures(
  { capture, watch }: NonNullable<Inlets['packets']>,
  packets: PacketPipeline | undefined,
): PacketFigures {
  const overflow = new Map<string, number>();
  for (const { name, overflow: more } of packets?.source.newest?.packets ?? [])
    overflow.set(name, (overflow.get(name) ?? 0) + more);
  return {
    interfaces: watch.attached,
    flows: capture.fill(),
    flowCapacity: capture.status().flows,
    overflow: [...overflow].map(([name, count]) => ({ name, packets: count })),
  };
}

function deliveryFigures({ delivery, destination }: NonNullable<Outlets['exec' | 'exit']>): DeliveryFigures {
  const { acknowledgedRecords, acknowledgedBytes, retries, producers, deadLetters } = delivery.figures;
  return {
    topic: destination.topic,
    state: delivery.state.state,
    records: acknowledgedRecords,
    bytes: acknowledgedBytes,
    retries,
    producers,
    deadLetters,
  };
}
