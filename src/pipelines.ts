import type { Clock } from './clock.ts';
import type { RunConfig } from './config.ts';
import type { Enrichment } from './enrich/enrichment.ts';
import type { Inlets } from './inlets.ts';
import type { EventRing, EventStream } from './kernel/addon.ts';
import { EventStreamAccount } from './ledger/event-stream.ts';
import type { StreamDestination } from './ledger/ledger-stream.ts';
import { PacketStreams } from './ledger/packet-streams.ts';
import type { Log } from './log.ts';
import type { Outlet, Outlets } from './outlets.ts';
import type { Delivery } from './producers/delivery.ts';
import type { Codec } from './schemas/codec.ts';
import type { LedgerState } from './schemas/ledger-entry.ts';
import type { PacketCount } from './schemas/packet-count.ts';
import { EventSource } from './sources/event-source.ts';
import { createExecTable } from './sources/exec-fields.ts';
import { createExecRecordReader } from './sources/exec-record.ts';
import { createExitTable } from './sources/exit-fields.ts';
import { createExitRecordReader } from './sources/exit-record.ts';
import type { KernelRecord, RecordReader } from './sources/kernel-record.ts';
import { createPacketDecoder } from './sources/packet-decoder.ts';
import { PacketSource } from './sources/packets.ts';
import { createRecordCodec } from './sources/record-codec.ts';

/** One stream of events on its whole way: out of its rings, to its topic, into the ledger. */
export interface EventPipeline {
  /** One a ring; they share what follows. */
  readonly sources: readonly EventSource[];
  readonly codec: Codec<KernelRecord>;
  readonly delivery: Delivery;
  readonly account: EventStreamAccount;
}

/** The packets, of which the ledger keeps a stream for each interface. */
export interface PacketPipeline {
  readonly source: PacketSource;
  readonly codec: Codec<PacketCount>;
  readonly delivery: Delivery;
  readonly accounts: PacketStreams;
}

export interface PipelineOptions {
  readonly config: RunConfig;
  readonly clock: Clock;
  readonly log: Log;
}

/** Exec, and exit when it is captured. */
export function eventPipelines(
  options: PipelineOptions,
  { capture, identity, wallClock }: Inlets,
  outlets: Outlets,
  enrichment: Enrichment,
): readonly EventPipeline[] {
  const presentEpoch = () => capture.status().epoch;
  const pipeline = <Event>(
    name: 'exec' | 'exit',
    stream: EventStream,
    reader: RecordReader,
    outlet: Outlet<Event>,
    codec: Codec<KernelRecord>,
  ): EventPipeline => {
    const sourceOf = (ring: EventRing) =>
      new EventSource({
        ring,
        presentEpoch,
        reader,
        clock: options.clock,
        log: options.log,
        offsets: offsetsAt(outlet, ring.status()),
      });
    const source = sourceOf(stream);
    const bare = stream.bare && { ring: stream.bare, reader: sourceOf(stream.bare) };
    const account = new EventStreamAccount({ name, stream, reader: source, bare, ...ledgerSide(outlet) });
    return { sources: bare ? [source, bare.reader] : [source], codec, delivery: outlet.delivery, account };
  };

  const { exec, exit } = capture;
  const execLayout = exec.layout();
  const execTable = createExecTable(execLayout, identity, wallClock, enrichment, options.config.execEnv);
  const execCodec = createRecordCodec('exec-events', execTable, outlets.exec.codec);
  const execs = pipeline('exec', exec, createExecRecordReader(execLayout), outlets.exec, execCodec);
  if (exit === undefined || outlets.exit === undefined) return [execs];
  const exitLayout = exit.layout();
  const exitTable = createExitTable(exitLayout, identity, wallClock, enrichment);
  const exitCodec = createRecordCodec('exit-events', exitTable, outlets.exit.codec);
  return [execs, pipeline('exit', exit, createExitRecordReader(exitLayout), outlets.exit, exitCodec)];
}

/** Undefined when packets are not counted. */
export function packetPipeline(
  { config, clock, log }: PipelineOptions,
  { capture, identity, wallClock, packets }: Inlets,
  { packets: outlet }: Outlets,
): PacketPipeline | undefined {
  if (config.packets === undefined || packets === undefined || outlet === undefined) return undefined;
  const { intervalMillis, budget } = config.packets;
  const layout = packets.capture.layout();
  const { keyKind, programHash: programTag } = packets.capture.status();
  const source = new PacketSource({
    capture,
    packets: packets.capture,
    decoderOf: createPacketDecoder({ layout, identity, wallClock, keyKind }),
    clock,
    log,
    intervalMillis,
    budget,
    offsets: offsetsAt(outlet, packets.capture.status()),
  });
  const accounts = new PacketStreams({ epochs: source, reader: source, programTag, ...ledgerSide(outlet) });
  return { source, codec: outlet.codec, delivery: outlet.delivery, accounts };
}

/** What an earlier process had acknowledged at the outlet's destination. */
function offsetsAt<Event>(
  { destination }: Outlet<Event>,
  { firstOffset, lastOffset }: { readonly firstOffset: number; readonly lastOffset: number },
) {
  return destination.moved || firstOffset < 0 ? undefined : { firstOffset, lastOffset };
}

const ledgerState = {
  idle: 'capturing',
  sending: 'capturing',
  retrying: 'degraded',
  throttled: 'throttled',
} as const satisfies Record<string, LedgerState>;

/** What the ledger says of where records go. */
function ledgerSide<Event>({ delivery, destination }: Outlet<Event>): {
  readonly deliveryState: () => LedgerState;
  readonly destination: StreamDestination;
} {
  return {
    deliveryState: () => ledgerState[delivery.state.state],
    destination: {
      cluster_id: destination.clusterId,
      topic: destination.topic,
      partition: destination.partition,
      replication_factor: destination.replicas,
      min_insync_replicas: destination.minInsyncReplicas,
    },
  };
}
