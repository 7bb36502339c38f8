import type { DeadLetter } from '../../schemas/dead-letter.ts';
import type { ExecEvent } from '../../schemas/exec-event.ts';
import type { ExitEvent } from '../../schemas/exit-event.ts';
import type { LedgerEntry } from '../../schemas/ledger-entry.ts';
import type { PacketCount } from '../../schemas/packet-count.ts';
import { type Attach, attachOf, beside, inOrder, inTime } from './attaches.ts';
import type { AuditFacts } from './audit-facts.ts';
import type { AuditReport, Problem, StreamReport } from './audit-report.ts';
import { auditStream, type StreamSource } from './audit-stream.ts';
import { totalsOf } from './audit-totals.ts';
import { EventRecords } from './event-records.ts';
import { hashExitFields, hashKernelFields } from './kernel-fields.ts';
import { type HistoryEntry, LedgerHistory } from './ledger-history.ts';
import { interfaceOf, PacketRecords, packetsStreamName } from './packet-records.ts';
import { InterfaceTally, PacketTally } from './packet-tally.ts';
import { type NumberedEvent, RecordTally } from './record-tally.ts';
import { isoTime } from './time-text.ts';

/** A capture can publish its first records before its first entry; so long they belong to nothing (milliseconds). */
const firstEntryWithin = 60_000;

/** Streams whose records are events. */
const eventStreams = ['exec', 'exit'] as const;
type EventStreamName = (typeof eventStreams)[number];

const isEventStream = (name: string): name is EventStreamName => (eventStreams as readonly string[]).includes(name);

/** What the topics have of one boot of a host. */
class BootTally {
  readonly hostId: string;
  readonly bootId: string;
  /** By attach. */
  readonly events: Readonly<Record<EventStreamName, Map<number, RecordTally>>> = { exec: new Map(), exit: new Map() };
  readonly packets = new PacketTally();

  constructor(hostId: string, bootId: string) {
    this.hostId = hostId;
    this.bootId = bootId;
  }
}

/**
 * Checks the ledger against the records, from outside: it knows nothing but what stands in the topics. Entries and
 * records may come in any order and any number of times.
 */
export class Audit {
  readonly #histories = new Map<string, LedgerHistory>();
  /** By host and boot. */
  readonly #hosts = new Map<string, Map<string, BootTally>>();
  #lastBoot: BootTally | undefined;

  addEntry(entry: LedgerEntry): void {
    const key = keyOf(entry.host_id, entry.boot_id, entry.attach_id, entry.stream_name);
    getOrAdd(this.#histories, key, () => new LedgerHistory(entry)).add(entry);
  }

  /** @param offset of the record in the topic's partition */
  addRecord(event: ExecEvent, partition: number, offset: number): void {
    this.#newTallyOf('exec', event).add(event, hashKernelFields(event), partition, offset);
  }

  /** @param offset of the record in the topic's partition */
  addExit(event: ExitEvent, partition: number, offset: number): void {
    this.#newTallyOf('exit', event).add(event, hashExitFields(event), partition, offset);
  }

  /** @param offset of the record in the topic's partition */
  addPacketCount(count: PacketCount, partition: number, offset: number): void {
    this.#bootOf(count.host_id, count.boot_id).packets.add(count, partition, offset);
  }

  /**
   * An exec that the broker did not take for its topic.
   * @param event undefined when the letter has no room for it
   * @param offset of the letter in its partition
   */
  addDeadExec(letter: DeadLetter, event: ExecEvent | undefined, partition: number, offset: number): void {
    this.#addLetter('exec', letter, partition, offset, event && { event, hash: hashKernelFields(event) });
  }

  /** The same of an exit. */
  addDeadExit(letter: DeadLetter, event: ExitEvent | undefined, partition: number, offset: number): void {
    this.#addLetter('exit', letter, partition, offset, event && { event, hash: hashExitFields(event) });
  }

  /** A packet count that the broker did not take for its topic. @param offset of the letter in its partition */
  addDeadPacketCount(count: PacketCount, partition: number, offset: number): void {
    this.#bootOf(count.host_id, count.boot_id).packets.add(count, partition, offset).deadLetters += 1;
  }

  /** Call it once, when everything has been added. */
  finish(facts: AuditFacts): AuditReport {
    const attaches = [...this.#histories.values()].map((history) => attachOf(history, this.#tallyOf('exec', history)));
    attaches.sort(inOrder);
    const hosts = new Map<string, Attach[]>();
    const families = new Map<string, Attach[]>();
    for (const attach of attaches) {
      getOrAdd(hosts, attach.history.hostId, () => []).push(attach);
      getOrAdd(families, familyOf(attach), () => []).push(attach);
    }
    const streams: StreamReport[] = [];
    for (const attach of attaches) {
      if (!touches(attach.entries, facts)) continue;
      const host = hosts.get(attach.history.hostId) ?? [];
      const family = families.get(familyOf(attach)) ?? [];
      streams.push(
        auditStream({
          history: attach.history,
          source: this.#sourceOf(attach.history, facts),
          facts,
          // Whatever streams the later attach has: an interface that it does not capture has to be closed too.
          superseded: host.findLast((other) => inTime(attach, other) < 0) !== undefined,
          problems: family.flatMap((earlier) => beside(earlier, attach)),
        }),
      );
    }
    const events = eventStreams.map((stream) => this.#unaccountedEvents(stream, facts));
    const packets = this.#unaccountedPackets(facts);
    const problems = [...events, packets].flatMap((unaccounted) => unaccounted.problems);
    const fresh = events.reduce((total, unaccounted) => total + unaccounted.fresh, 0);
    const isOfPackets = ({ stream_name }: StreamReport) => interfaceOf(stream_name) !== undefined;
    const ofPackets = streams.filter(isOfPackets);
    const ofEvents = streams.filter((stream) => !isOfPackets(stream));
    const empty = streams.length === 0 && problems.length === 0;
    const closes = !empty && problems.length === 0 && streams.every(({ verdict }) => verdict !== 'does not close');
    const hasPackets = ofPackets.length > 0 || packets.fresh > 0;
    return {
      closes,
      empty,
      streams,
      problems,
      totals: { ...totalsOf(ofEvents, fresh), unreadable: facts.unreadable ?? 0 },
      ...(hasPackets ? { packet_totals: totalsOf(ofPackets, packets.fresh) } : {}),
    };
  }

  /** @param found what the letter has of the event */
  #addLetter(
    stream: EventStreamName,
    letter: DeadLetter,
    partition: number,
    offset: number,
    found: { readonly event: NumberedEvent; readonly hash: number } | undefined,
  ): void {
    const { seq } = letter;
    const tally = this.#newTallyOf(stream, found?.event ?? letter);
    tally.deadLetters += 1;
    if (found !== undefined) tally.add(found.event, found.hash, partition, offset);
    else if (seq !== null) tally.addIdentity({ ...letter, seq }, partition, offset);
  }

  /** Made when there is none. */
  #newTallyOf(
    stream: EventStreamName,
    { host_id, boot_id, attach_id }: Pick<NumberedEvent, 'host_id' | 'boot_id' | 'attach_id'>,
  ): RecordTally {
    const tallies = this.#bootOf(host_id, boot_id).events[stream];
    return getOrAdd(tallies, attach_id, () => new RecordTally(attach_id));
  }

  #bootOf(hostId: string, bootId: string): BootTally {
    const last = this.#lastBoot;
    if (last?.bootId === bootId && last.hostId === hostId) return last;
    const boots = getOrAdd(this.#hosts, hostId, () => new Map<string, BootTally>());
    const boot = getOrAdd(boots, bootId, () => new BootTally(hostId, bootId));
    this.#lastBoot = boot;
    return boot;
  }

  #tallyOf(stream: EventStreamName, { hostId, bootId, attachId }: LedgerHistory): RecordTally | undefined {
    return this.#hosts.get(hostId)?.get(bootId)?.events[stream].get(attachId);
  }

  /** Where the records of a stream are; undefined when this version does not read their topic. */
  #sourceOf(history: LedgerHistory, facts: AuditFacts): StreamSource | undefined {
    const { hostId, bootId, attachId, streamName } = history;
    if (isEventStream(streamName)) {
      const tally = this.#tallyOf(streamName, history) ?? new RecordTally(attachId);
      const topic = streamName === 'exec' ? facts : (facts.exitEvents ?? { topic: 'exit-events', partitions: [] });
      return { topic, open: (entries, findings) => new EventRecords(entries, tally, findings) };
    }
    const name = interfaceOf(streamName);
    if (name === undefined) return undefined;
    const { packets } = this.#hosts.get(hostId)?.get(bootId) ?? {};
    const tally = packets?.find(attachId, name) ?? new InterfaceTally(attachId, name);
    const topic = facts.packetCounts ?? { topic: 'packet-counts', partitions: [] };
    return { topic, open: (entries, findings) => new PacketRecords(entries, tally, findings) };
  }

  /** Records of attaches that the ledger does not know. */
  #unaccountedEvents(stream: EventStreamName, facts: AuditFacts): Unaccounted {
    const found = new Unaccounted(facts);
    for (const { hostId, bootId, events } of this.#boots()) {
      for (const tally of events[stream].values()) {
        const { records, minSeq, maxSeq, attachId } = tally;
        if (this.#histories.has(keyOf(hostId, bootId, attachId, stream))) continue;
        if (found.isFresh(tally.minEventTime, tally.maxEventTime, records)) continue;
        const host = tally.hostName ?? hostId;
        const text = `unaccounted: ${records} records of ${stream} of host ${host} (${hostId}), boot ${bootId}, attach ${attachId}, seq ${minSeq} to ${maxSeq}, from ${isoTime(tally.minEventTime)} on, and no ledger entry of that attach`;
        found.problems.push({ kind: 'unaccounted', text, count: records, seqs: [minSeq, maxSeq] });
      }
    }
    return found;
  }

  /** Records of interfaces that the ledger does not know. */
  #unaccountedPackets(facts: AuditFacts): Unaccounted {
    const found = new Unaccounted(facts);
    for (const { hostId, bootId, packets } of this.#boots()) {
      for (const tally of packets.interfaces()) {
        const { records, minEpoch, maxEpoch, attachId, interfaceName } = tally;
        const streamName = packetsStreamName(interfaceName);
        if (this.#histories.has(keyOf(hostId, bootId, attachId, streamName))) continue;
        const all = tally.published(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY);
        if (found.isFresh(tally.minIntervalEnd, tally.maxIntervalEnd, all)) continue;
        const host = tally.hostName ?? hostId;
        const text = `unaccounted: ${records} records (${all} packets) of host ${host} (${hostId}), boot ${bootId}, attach ${attachId}, interface ${interfaceName}, epochs ${minEpoch} to ${maxEpoch}, from ${isoTime(tally.minIntervalEnd)} on, and no ledger entry of ${streamName}`;
        found.problems.push({ kind: 'unaccounted', text, count: records });
      }
    }
    return found;
  }

  *#boots(): Generator<BootTally> {
    for (const boots of this.#hosts.values()) yield* boots.values();
  }
}

/** What stands in a topic and belongs to no stream of the ledger. */
class Unaccounted {
  readonly problems: Problem[] = [];
  /** Events of records for which it is too early to have an entry. */
  fresh = 0;
  readonly #facts: AuditFacts;

  constructor(facts: AuditFacts) {
    this.#facts = facts;
  }

  /** Whether records of this time are not to be told of: too early, or not audited. */
  isFresh(first: number, last: number, events: number): boolean {
    const { now, since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY } = this.#facts;
    if (last < since || first > until) return true;
    if (now - first >= firstEntryWithin) return false;
    this.fresh += events;
    return true;
  }
}

function keyOf(hostId: string, bootId: string, attachId: number, streamName: string): string {
  return JSON.stringify([hostId, bootId, attachId, streamName]);
}

/** The attaches of one stream of one host. */
function familyOf({ history }: Attach): string {
  return JSON.stringify([history.hostId, history.streamName]);
}

function touches(entries: readonly HistoryEntry[], facts: AuditFacts): boolean {
  const { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY } = facts;
  return entries.some(({ intervalStart, intervalEnd }) => intervalStart >= since && intervalEnd <= until);
}

function getOrAdd<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
