/** What the audit answers; all of it is plain data, so that it is the JSON output as it stands. */
export interface AuditReport {
  /** False: something is missing, or contradicts itself. What is counted as lost does not make it false. */
  readonly closes: boolean;
  /** Nothing stood in the topics that could be audited. */
  readonly empty: boolean;
  /** One a stream of an attach, hosts in order of their id, attaches in order of time. */
  readonly streams: readonly StreamReport[];
  /** Problems that belong to no stream of the ledger. */
  readonly problems: readonly Problem[];
  /** Of the streams whose records are events; in events. */
  readonly totals: AuditTotals;
  /** Of the packets streams, when there are any; in packets. */
  readonly packet_totals?: Omit<AuditTotals, 'unreadable'>;
}

export interface AuditTotals {
  readonly seen: number;
  readonly published: number;
  readonly filtered: number;
  readonly lost: number;
  readonly lost_by_reason: Readonly<Record<string, number>>;
  /** Records in the topic and in the dead letter, repeats included. */
  readonly records: number;
  readonly repeats: number;
  readonly dead_letters: number;
  /** Newer than the newest closed epoch. */
  readonly not_yet_accounted: number;
  /** Events of the ledger in windows that cannot be checked. */
  readonly not_checkable: number;
  /** Records of any topic that could not be decoded. */
  readonly unreadable: number;
}

export type Verdict = 'closed' | 'does not close' | 'not checkable';

/**
 * The account of one stream of one attach; the counts are those of the audited time. They are events, packets in a
 * packets stream; what is called records are records in every stream.
 */
export interface StreamReport {
  readonly host_id: string;
  readonly host_name: string | null;
  readonly boot_id: string;
  readonly attach_id: number;
  readonly stream_name: string;
  /** When it was attached, milliseconds since 1970; null when its first entry is gone. */
  readonly attached_at: number | null;
  /** Of the newest entry: when its epoch ended. */
  readonly until: number;
  readonly state: string;
  readonly entries: number;
  readonly closed_entries: number;
  /** Of the newest closed entry; null when there is none. */
  readonly closed_epoch: number | null;
  readonly seen: number;
  readonly published: number;
  readonly filtered: Readonly<Record<string, number>>;
  readonly lost: Readonly<Record<string, number>>;
  /** Of the newest entry. */
  readonly pending: number;
  readonly unobserved_micros: number;
  /** Records of this attach in the whole topic and in the dead letter, repeats included. */
  readonly records: number;
  /** How many of them are in the dead letter. */
  readonly dead_letters: number;
  /** Identities of the closed epochs that are audited. */
  readonly distinct: number;
  readonly repeats: number;
  /** Of a packets stream: what the distinct records add up to. */
  readonly packets?: { readonly published: number; readonly filtered: number };
  readonly not_yet_accounted: number;
  readonly verdict: Verdict;
  readonly problems: readonly Problem[];
  readonly not_checkable: readonly Uncheckable[];
  /** What is worth knowing and is no problem. */
  readonly notes: readonly string[];
}

export type ProblemKind =
  | 'unbalanced'
  | 'count_falls'
  | 'watermark_falls'
  | 'conflicting_entries'
  | 'missing'
  | 'unexpected'
  | 'lost_after_ack'
  | 'seq_mismatch'
  | 'broker_rewound'
  | 'identity_conflict'
  | 'double_capture'
  | 'no_final_entry'
  | 'stays_open'
  | 'unaccounted';

export interface Problem {
  readonly kind: ProblemKind;
  /** One sentence part that begins with the kind in words; not yet escaped for a terminal. */
  readonly text: string;
  /** The window: epochs after the first and up to the second. */
  readonly after_epoch?: number;
  readonly epoch?: number;
  /** How many records, events or packets it is about. */
  readonly count?: number;
  /** The first few sequence numbers. */
  readonly seqs?: readonly number[];
}

/** Windows that follow each other and cannot be checked for the same reason. */
export interface Uncheckable {
  readonly reason: string;
  readonly after_epoch: number;
  readonly epoch: number;
  readonly expected: number;
  readonly found: number;
}
