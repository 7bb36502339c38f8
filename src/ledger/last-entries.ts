import { join } from 'node:path';
import { Bpf2KafkaError } from '../errors.ts';
import type { TopicName } from '../schemas/catalog.ts';
import type { LedgerEntry } from '../schemas/ledger-entry.ts';
import { readState, writeState } from '../state-file.ts';
import { packetStreamName } from './packet-streams.ts';

/** The newest entry of one stream. */
export interface Kept {
  readonly entry: LedgerEntry;
  /** The broker has acknowledged it. */
  readonly published: boolean;
}

/** A capture: what is counted in one attach is never counted in another. */
export interface AttachIdentity {
  readonly bootId: string;
  readonly attachId: number;
}

/**
 * The newest entry of each stream, kept in the state directory: when an attach ends without its final entries, because
 * the host crashed or its pins were removed, the next start writes those under the old ids.
 */
export class LastEntries {
  readonly #path: string;
  #kept: readonly Kept[];
  #written: Promise<void> = Promise.resolve();

  private constructor(path: string, kept: readonly Kept[]) {
    this.#path = path;
    this.#kept = kept;
  }

  /** @throws Bpf2KafkaError ERR_CONFIG */
  static async read(stateDir: string): Promise<LastEntries> {
    const path = join(stateDir, 'ledger.json');
    return new LastEntries(path, ((await readState(path)) ?? []) as readonly Kept[]);
  }

  /** One a stream; after a start of a new attach also those of the attach before. */
  get kept(): readonly Kept[] {
    return this.#kept;
  }

  /**
   * Replaces the entries of their streams. Others stay, but not those that have ended with another attach and said so.
   * @throws Bpf2KafkaError ERR_CONFIG
   */
  async write(entries: readonly LedgerEntry[], { published }: Pick<Kept, 'published'>): Promise<void> {
    const [first] = entries;
    if (first === undefined) return;
    const attach = { bootId: first.boot_id, attachId: first.attach_id };
    const replaced = new Set(entries.map(lineOf));
    const others = this.#kept.filter(
      (kept) => !replaced.has(lineOf(kept.entry)) && (isOf(kept.entry, attach) || !hasEnded(kept)),
    );
    this.#kept = [...others, ...entries.map((entry) => ({ entry, published }))];
    // One after the other: entries of different attaches are published at the same time.
    const written = this.#written.then(() => writeState(this.#path, this.#kept));
    this.#written = written.catch(() => {}); // told to its own caller
    await written;
  }
}

/** A stream of an attach. */
function lineOf({ boot_id, attach_id, stream_name }: LedgerEntry): string {
  return `${boot_id} ${attach_id} ${stream_name}`;
}

export function isOf({ boot_id, attach_id }: LedgerEntry, { bootId, attachId }: AttachIdentity): boolean {
  return boot_id === bootId && attach_id === attachId;
}

/** It says how its attach ended. */
export function isFinal({ state, closed }: LedgerEntry): boolean {
  return (state === 'stopped' || state === 'closing') && closed;
}

function hasEnded({ entry, published }: Kept): boolean {
  return published && isFinal(entry);
}

/** Where this attach had its newest acknowledgements, as its newest entries tell. */
export function acknowledgedPlaces(kept: readonly Kept[], attach: AttachIdentity) {
  const places = new Map<TopicName, { clusterId: string; topic: string; partition: number }>();
  for (const { entry } of kept) {
    const { destination, stream_name: stream } = entry;
    const name = topicOf(stream);
    if (name === undefined || !isOf(entry, attach) || destination === null || destination.last_offset < 0) continue;
    const { cluster_id: clusterId, topic, partition } = destination;
    places.set(name, { clusterId, topic, partition });
  }
  return places;
}

function topicOf(stream: string): TopicName | undefined {
  if (stream === 'exec') return 'exec-events';
  if (stream === 'exit') return 'exit-events';
  return stream.startsWith(packetStreamName('')) ? 'packet-counts' : undefined;
}

/**
 * A capture that goes on keeps its host id: its records and its account are under it.
 *
 * @throws Bpf2KafkaError ERR_CONFIG
 */
export function refuseOtherHostId(kept: readonly Kept[], current: AttachIdentity & { readonly hostId: string }): void {
  const other = kept.find(({ entry }) => isOf(entry, current) && entry.host_id !== current.hostId);
  if (other === undefined) return;
  throw new Bpf2KafkaError('ERR_CONFIG', {
    operation: 'use --host-id',
    subject: current.hostId,
    reason: `the capture that goes on was begun as ${other.entry.host_id}, and its records and its account are under that id`,
    remedy: 'end it first: run it once more as it was, with `--on-exit detach`',
  });
}
