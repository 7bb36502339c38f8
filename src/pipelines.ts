import type { Kept, OutgoingBatch } from './batch.ts';
import type { Clock } from './clock.ts';
import type { RunConfig } from './config/types.ts';
import type { Enrichment } from './enrich/enrichment.ts';
import type { Inlets } from './inlets.ts';
import type { EarlierRing, EventRing, EventStream } from './kernel/event-ring.ts';
import type { StructLayout } from './kernel/layout.ts';
import { EventStreamAccount, type ReadRing } from './ledger/event-stream.ts';
import { isOf, type Kept as KeptEntry } from './ledger/last-entries.ts';
import type { StreamDestination } from './ledger/ledger-stream.ts';
import { PacketStreams } from './ledger/packet-streams.ts';
import type { Log } from './log.ts';
import type { EventOutlet, Outlet, Outlets } from './outlets.ts';
import type { Delivery } from './producers/delivery.ts';
import { topicSchema } from './schemas/catalog.ts';
import type { Codec } from './schemas/codec.ts';
import type { ExecEvent } from './schemas/exec-event.ts';
import type { ExitEvent } from './schemas/exit-event.ts';
import type { LedgerEntry, LedgerState } from './schemas/ledger-entry.ts';
import type { PacketCount } from './schemas/packet-count.ts';
import { readEarlierLayout } from './sources/earlier-layout.ts';
import { EventSource, quickPace } from './sources/event-source.ts';
import { createExecTable } from './sources/exec-fields.ts';
import { createExecRecordReader } from './sources/exec-record.ts';
import { createExitTable } from './sources/exit-fields.ts';
import { createExitRecordReader } from './sources/exit-record.ts';
import type { KernelRecord, RecordReader } from './sources/kernel-record.ts';
import { createPacketDecoder } from './sources/packet-decoder.ts';
import { PacketSource } from './sources/packets.ts';
import { createRecordCodec } from './sources/record-codec.ts';
import { openSpool } from './spool/open-spool.ts';
import type { Spool } from './spool/spool.ts';
import { SpooledDelivery } from './spool/spooled-delivery.ts';
import type { RingIdentity } from './spool/tallies.ts';

/** One stream of events: out of its rings, past the disk when it has to be, to its topic, into the ledger. */
export interface EventPipeline {
  /** Of rings that earlier versions wrote to, oldest first. */
  readonly earlier: readonly EarlierWay[];
  /** One a ring that is written to. */
  readonly ways: readonly EventWay[];
  /** Resolves when the main one of these needs to be read, or when the signal aborts. */
  readonly fills: (signal: AbortSignal) => Promise<void>;
  /** Publishes what is on disk, until it is told to finish; of a stream that has a spool. */
  readonly drain?: (signal: AbortSignal) => Promise<void>;
  readonly account: EventStreamAccount;
}

/** The records of one ring on their way to the topic of the stream. */
export interface EventWay {
  readonly source: EventSource;
  readonly codec: Codec<KernelRecord>;
  readonly delivery: {
    announce(batch: OutgoingBatch): void;
    accept(batch: OutgoingBatch, signal: AbortSignal): Promise<Kept>;
  };
}

/** The same of a ring that an earlier version wrote to. */
export interface EarlierWay extends EventWay {
  readonly ring: EarlierRing;
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

/** Exec and exit, where they are captured. */
export function eventPipelines(
  options: PipelineOptions,
  inlets: Inlets,
  { exec, exit }: Outlets,
  { enrichment, spool }: { readonly enrichment: Enrichment; readonly spool: Spool },
): readonly EventPipeline[] {
  const { exit: stream } = inlets.capture;
  return [
    ...(exec ? [execPipeline(options, inlets, exec, enrichment, spool)] : []),
    ...(stream && exit ? [exitPipeline(options, inlets, stream, exit, enrichment)] : []),
  ];
}

/**
 * Whole records go to disk when their ring fills while the broker is away. Bare ones stay in theirs: they come when the
 * disk has taken what it could, and behind a spool that is full there is nothing to put them in.
 */
function execPipeline(
  options: PipelineOptions,
  { capture, identity, wallClock }: Inlets,
  outlet: EventOutlet<ExecEvent>,
  enrichment: Enrichment,
  spool: Spool,
): EventPipeline {
  const { exec } = capture;
  const read = (layout: StructLayout, lacking: readonly string[] = []) => {
    const table = createExecTable(layout, identity, wallClock, enrichment, options.config.execEnv, lacking);
    return {
      codec: createRecordCodec('exec-events', table, outlet.codec),
      reader: createExecRecordReader(layout),
    };
  };
  const { codec, reader } = read(exec.layout());
  const source = eventSource(options, capture, exec, reader, outlet);
  const bare = eventSource(options, capture, exec.bare, reader, outlet);
  spool.onLeave((leave) => source.leftSpool(leave));
  const delivery = spooledDelivery(options, exec, spool, identity.hostId, outlet);
  const earlier = earlierRings(exec, outlet, (ring) => {
    const { layout, lacking } = readEarlierLayout('exec-events', ring.layout(), exec.layout());
    const theirs = read(layout, lacking);
    const source = eventSource(options, capture, ring, theirs.reader, outlet);
    return { ring, source, codec: theirs.codec, delivery: delivery.behind };
  });
  return {
    earlier: earlier.ways,
    ways: [
      { source, codec, delivery },
      { source: bare, codec, delivery: delivery.behind },
    ],
    fills: (signal) => fills(exec, options.clock, signal),
    drain: (signal) => delivery.drain(signal),
    account: new EventStreamAccount({
      name: 'exec',
      stream: exec,
      reader: source,
      bare: { ring: exec.bare, reader: bare },
      earlier: earlier.accounts,
      spool,
      ...ledgerSide(outlet),
    }),
  };
}

function exitPipeline(
  options: PipelineOptions,
  { capture, identity, wallClock }: Inlets,
  exit: EventStream,
  outlet: EventOutlet<ExitEvent>,
  enrichment: Enrichment,
): EventPipeline {
  const { delivery } = outlet;
  const wayOf = (ring: EventRing, layout: StructLayout, lacking: readonly string[] = []) => ({
    source: eventSource(options, capture, ring, createExitRecordReader(layout), outlet, exitPace(ring.status())),
    codec: createRecordCodec(
      'exit-events',
      createExitTable(layout, identity, wallClock, enrichment, lacking),
      outlet.codec,
    ),
    delivery,
  });
  const way = wayOf(exit, exit.layout());
  const earlier = earlierRings(exit, outlet, (ring) => {
    const { layout, lacking } = readEarlierLayout('exit-events', ring.layout(), exit.layout());
    return { ring, ...wayOf(ring, layout, lacking) };
  });
  return {
    earlier: earlier.ways,
    ways: [way],
    fills: (signal) => fills(exit, options.clock, signal),
    account: new EventStreamAccount({
      name: 'exit',
      stream: exit,
      reader: way.source,
      earlier: earlier.accounts,
      ...ledgerSide(outlet),
    }),
  };
}

/** From here on the present ring does not wait for the earlier ones any more. */
const highWater = 0.5;
/** How often it is looked at (milliseconds). */
const lookEvery = 20;

/** Resolves when the ring fills, or when the signal aborts. */
async function fills(ring: Pick<EventRing, 'status'>, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const { waitingBytes, ringBytes } = ring.status();
    if (waitingBytes > highWater * ringBytes) return;
    await clock.sleep(lookEvery, signal);
  }
}

/** Of each ring of an earlier version its way, and its part of the account, which is all that is left of those retired. */
function earlierRings<Event>(
  { earlier }: EventStream,
  outlet: Outlet<Event>,
  wayOf: (ring: EarlierRing) => EarlierWay,
): { readonly ways: readonly EarlierWay[]; readonly accounts: readonly ReadRing[] } {
  const ways = earlier.filter((ring) => !ring.status().retired).map(wayOf);
  const accounts = earlier.map((ring) => ({
    ring,
    reader: ways.find((way) => way.ring === ring)?.source ?? retiredReader(offsetsAt(outlet, ring.status())),
  }));
  return { ways, accounts };
}

function retiredReader(offsets = { firstOffset: -1, lastOffset: -1 }): ReadRing['reader'] {
  const nothing = { acknowledged: 0, undecodable: 0, evicted: 0, missing: 0 };
  return { ...offsets, committedAfter: () => nothing };
}

function eventSource<Event>(
  { clock, log }: PipelineOptions,
  capture: Inlets['capture'],
  ring: EventRing,
  reader: RecordReader,
  outlet: Outlet<Event>,
  pace = quickPace,
): EventSource {
  const presentEpoch = () => capture.status().epoch;
  return new EventSource({ ring, presentEpoch, reader, pace, clock, log, offsets: offsetsAt(outlet, ring.status()) });
}

/** Exits are looked at afterwards, and a batch costs: they are read less often than execs (milliseconds). */
const slowPace = 100;
/** A smaller ring would soon be full (bytes). The default is four times as much, 20,000 exits. */
const roomyRing = 1024 * 1024;

function exitPace({ ringBytes }: { readonly ringBytes: number }): number {
  return ringBytes >= roomyRing ? slowPace : quickPace;
}

/** The queue that the records of the stream `exec` are in. */
export function execRing({ boot_id, attach_id }: Pick<LedgerEntry, 'boot_id' | 'attach_id'>): RingIdentity {
  return { ring: 'exec', bootId: boot_id, attachId: attach_id };
}

/**
 * The spool of the execs, in agreement with their ring. From now on it counts apart what it still has of attaches that are
 * over.
 * @param kept the newest entries of the ledger
 */
export async function openExecSpool(
  { config, clock, log }: PipelineOptions,
  { capture, identity }: Inlets,
  kept: readonly KeptEntry[],
): Promise<Spool> {
  const { stateDir, spoolBytes: bytes, spoolFull: full } = config;
  const ring = execRing({ boot_id: identity.bootId, attach_id: identity.attachId });
  const settings = { stateDir, bytes, full };
  const spool = await openSpool({ settings, identity: ring, capture: capture.exec, clock, log });
  for (const { entry } of kept)
    if (entry.stream_name === 'exec' && !isOf(entry, identity)) await spool.beginLate(execRing(entry), entry.epoch);
  return spool;
}

function spooledDelivery(
  { clock, log }: PipelineOptions,
  ring: EventStream,
  spool: Spool,
  key: string,
  { codec, delivery, frameOf }: EventOutlet<ExecEvent>,
): SpooledDelivery {
  const { topic, schema } = topicSchema('exec-events');
  const frames = { schema, frame: codec.frame, frameOf };
  return new SpooledDelivery({ spool, delivery, topic, key, frames, ring, clock, log });
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
