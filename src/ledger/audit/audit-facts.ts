/** What is known of a topic when it has been read. */
export interface TopicFacts {
  /** Full name. */
  readonly topic: string;
  /** Offset of the first record that is still there, and of the next one to be written; empty: there is no such topic. */
  readonly partitions: readonly { readonly partition: number; readonly logStart: number; readonly end: number }[];
}

/** What is known of the topics and the time when everything has been read; the topic here is that of exec. */
export interface AuditFacts extends TopicFacts {
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly clusterId: string;
  readonly exitEvents?: TopicFacts;
  /** The topic of the packets streams. */
  readonly packetCounts?: TopicFacts;
  /** Records that could not be decoded. */
  readonly unreadable?: number;
  /** Only entries whose interval lies in this time are audited; milliseconds since 1970. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}
