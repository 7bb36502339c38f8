import { deliveryStates, type Figures, spoolStates } from './figures.ts';

/** One metric that is read off the figures when it is asked for. */
export interface Metric {
  /** As Prometheus has it: base units, `_total` behind a counter. */
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly labels: readonly string[];
  readonly samples: (figures: Figures) => readonly Sample[];
}

/** A value and, in the order of the metric's labels, theirs. */
export type Sample = readonly [value: number, ...labels: string[]];

/** How long a batch took; the only one that is counted where it happens. */
export const deliverySeconds = {
  name: 'bpf2kafka_delivery_seconds',
  help: 'Time from the first attempt to send a batch until the broker has acknowledged all of it; outages included',
  labels: ['topic'],
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
} as const;

const perStream = (value: (stream: Figures['streams'][number]) => number) => (figures: Figures) =>
  figures.streams.map((stream): Sample => [value(stream), stream.stream]);

const perStreamAnd =
  (counts: (stream: Figures['streams'][number]) => Readonly<Record<string, number>>) => (figures: Figures) =>
    figures.streams.flatMap((stream) =>
      Object.entries(counts(stream)).map(([name, count]): Sample => [count, stream.stream, name]),
    );

const perRing = (value: (ring: Figures['rings'][number]) => number) => (figures: Figures) =>
  figures.rings.map((ring): Sample => [value(ring), ring.ring]);

const perTopic = (value: (delivery: Figures['deliveries'][number]) => number) => (figures: Figures) =>
  figures.deliveries.map((delivery): Sample => [value(delivery), delivery.topic]);

const ofPackets = (samples: (packets: NonNullable<Figures['packets']>) => readonly Sample[]) => (figures: Figures) =>
  figures.packets === undefined ? [] : samples(figures.packets);

/** Each value of a label comes from a closed set, or from the settings: rules, interfaces, topics. */
export const metrics: readonly Metric[] = [
  {
    name: 'bpf2kafka_capturing',
    type: 'gauge',
    help: '1 while the programs are attached, 0 when somebody has taken them away',
    labels: [],
    samples: ({ capturing }) => [[capturing ? 1 : 0]],
  },
  {
    name: 'bpf2kafka_epoch',
    type: 'gauge',
    help: 'Present epoch of the capture, which every record carries; grows by one with each cut',
    labels: [],
    samples: ({ epoch }) => [[epoch]],
  },
  {
    name: 'bpf2kafka_seen_total',
    type: 'counter',
    help: 'What the kernel saw: execs, exits, or packets of an interface; as of the newest entry of the ledger, as the next ones',
    labels: ['stream'],
    samples: perStream(({ seen }) => seen),
  },
  {
    name: 'bpf2kafka_published_total',
    type: 'counter',
    help: 'What a broker has acknowledged',
    labels: ['stream'],
    samples: perStream(({ published }) => published),
  },
  {
    name: 'bpf2kafka_filtered_total',
    type: 'counter',
    help: 'What rules kept out, by rule',
    labels: ['stream', 'rule'],
    samples: perStreamAnd(({ filtered }) => filtered),
  },
  {
    name: 'bpf2kafka_lost_total',
    type: 'counter',
    help: 'What was lost, by reason',
    labels: ['stream', 'reason'],
    samples: perStreamAnd(({ lost }) => lost),
  },
  {
    name: 'bpf2kafka_pending',
    type: 'gauge',
    help: 'What waited for its acknowledgement',
    labels: ['stream'],
    samples: perStream(({ pending }) => pending),
  },
  {
    name: 'bpf2kafka_unexplained',
    type: 'gauge',
    help: 'seen - published - filtered - lost - pending: 0, or the account is wrong',
    labels: ['stream'],
    samples: perStream(({ unexplained }) => unexplained),
  },
  {
    name: 'bpf2kafka_unobserved_seconds_total',
    type: 'counter',
    help: 'How long nothing was captured',
    labels: ['stream'],
    samples: perStream(({ unobservedMicros }) => unobservedMicros / 1e6),
  },
  {
    name: 'bpf2kafka_ledger_timestamp_seconds',
    type: 'gauge',
    help: 'End of the epoch that the newest entry of the ledger is about, seconds since 1970',
    labels: ['stream'],
    samples: perStream(({ at }) => at / 1e3),
  },
  {
    name: 'bpf2kafka_ring_used_bytes',
    type: 'gauge',
    help: 'What waits in the ring for its acknowledgement',
    labels: ['ring'],
    samples: perRing(({ usedBytes }) => usedBytes),
  },
  {
    name: 'bpf2kafka_ring_capacity_bytes',
    type: 'gauge',
    help: 'Size of the ring',
    labels: ['ring'],
    samples: perRing(({ capacityBytes }) => capacityBytes),
  },
  {
    name: 'bpf2kafka_ring_high_water_bytes',
    type: 'gauge',
    help: 'The most that ever waited in the ring',
    labels: ['ring'],
    samples: perRing(({ highWaterBytes }) => highWaterBytes),
  },
  {
    name: 'bpf2kafka_spool_state',
    type: 'gauge',
    help: '1 for what the spool is, 0 for what it is not; full, no_space, failed: it takes nothing, and the ring holds',
    labels: ['state'],
    samples: ({ spool }) => spoolStates.map((state): Sample => [spool.state === state ? 1 : 0, state]),
  },
  {
    name: 'bpf2kafka_spool_records',
    type: 'gauge',
    help: 'Records on disk that no broker has acknowledged',
    labels: [],
    samples: ({ spool }) => [[spool.records]],
  },
  {
    name: 'bpf2kafka_spool_used_bytes',
    type: 'gauge',
    help: 'What their batches take',
    labels: [],
    samples: ({ spool }) => [[spool.bytes]],
  },
  {
    name: 'bpf2kafka_spool_capacity_bytes',
    type: 'gauge',
    help: 'What they may take: --spool-bytes',
    labels: [],
    samples: ({ spool }) => [[spool.capacityBytes]],
  },
  {
    name: 'bpf2kafka_interface_counted',
    type: 'gauge',
    help: '1 for each interface whose packets are counted',
    labels: ['interface'],
    samples: ofPackets(({ interfaces }) => interfaces.map((name) => [1, name])),
  },
  {
    name: 'bpf2kafka_packet_flows',
    type: 'gauge',
    help: 'Keys of packets in the present interval',
    labels: [],
    samples: ofPackets(({ flows }) => [[flows]]),
  },
  {
    name: 'bpf2kafka_packet_flow_capacity',
    type: 'gauge',
    help: 'Keys of packets that there is room for',
    labels: [],
    samples: ofPackets(({ flowCapacity }) => [[flowCapacity]]),
  },
  {
    name: 'bpf2kafka_packet_overflow_total',
    type: 'counter',
    help: 'Packets whose key found no room; they are counted in one sum',
    labels: ['interface'],
    samples: ofPackets(({ overflow }) => overflow.map(({ name, packets }) => [packets, name])),
  },
  {
    name: 'bpf2kafka_delivery_state',
    type: 'gauge',
    help: '1 for what the delivery is doing, 0 for what it is not; retrying: the broker is away or refuses',
    labels: ['topic', 'state'],
    samples: ({ deliveries }) =>
      deliveries.flatMap(({ topic, state }) =>
        deliveryStates.map((name): Sample => [state === name ? 1 : 0, topic, name]),
      ),
  },
  {
    name: 'bpf2kafka_delivery_records_total',
    type: 'counter',
    help: 'Records that were acknowledged, since the start of the process, as the next ones',
    labels: ['topic'],
    samples: perTopic(({ records }) => records),
  },
  {
    name: 'bpf2kafka_delivery_bytes_total',
    type: 'counter',
    help: 'Bytes of records that were acknowledged, before compression',
    labels: ['topic'],
    samples: perTopic(({ bytes }) => bytes),
  },
  {
    name: 'bpf2kafka_delivery_retries_total',
    type: 'counter',
    help: 'Attempts that were not acknowledged',
    labels: ['topic'],
    samples: perTopic(({ retries }) => retries),
  },
  {
    name: 'bpf2kafka_delivery_producers_total',
    type: 'counter',
    help: 'Producers that were made: one, and one more after each failure',
    labels: ['topic'],
    samples: perTopic(({ producers }) => producers),
  },
  {
    name: 'bpf2kafka_dead_letters_total',
    type: 'counter',
    help: 'Records that the broker refused for their content and that are in the dead letter',
    labels: ['topic'],
    samples: perTopic(({ deadLetters }) => deadLetters),
  },
];
