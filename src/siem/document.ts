import { ecsExec } from './ecs-exec.ts';
import { ecsExit } from './ecs-exit.ts';
import { ecsPackets } from './ecs-packets.ts';
import type { SiemFormat } from './formats.ts';
import { type Document, type Mapping, toDocument } from './mapping.ts';
import { ocsfExec } from './ocsf-exec.ts';
import { ocsfExit } from './ocsf-exit.ts';
import { ocsfPackets } from './ocsf-packets.ts';
import { documentIds, type SiemRecords, type SiemStream } from './records.ts';
import { sigmaExec } from './sigma.ts';

type Mappings = {
  readonly [Format in SiemFormat]: { readonly [Stream in SiemStream]?: Mapping<SiemRecords[Stream]> };
};

/** How each stream becomes documents of each format; Sigma has fields for the start of a process only. */
export const siemMappings: Mappings = {
  ocsf: { exec: ocsfExec, exit: ocsfExit, packets: ocsfPackets },
  ecs: { exec: ecsExec, exit: ecsExit, packets: ecsPackets },
  sigma: { exec: sigmaExec },
};

/** Streams that the format has documents for. */
export function siemStreamsOf(format: SiemFormat): readonly SiemStream[] {
  return Object.keys(siemMappings[format]) as SiemStream[];
}

/** The same for a record and its repeats: index by it, and repeats do not double. */
export function siemId<Stream extends SiemStream>(stream: Stream, record: SiemRecords[Stream]): string {
  return documentIds[stream](record);
}

/**
 * The document that a record is in a format, as plain JSON values: OCSF 1.8.0 (Process Activity, Network Activity), ECS
 * 9.4.0, or the fields of Sigma's process_creation for Linux. The record is what Avro decodes, with plain numbers, nulls
 * and Buffers. Its id is in it: `metadata.uid`, `event.id`, `EventRecordID`.
 *
 * @throws TypeError when the format has no documents of the stream
 */
export function siemDocument<Stream extends SiemStream>(
  format: SiemFormat,
  stream: Stream,
  record: SiemRecords[Stream],
): Document {
  const mapping: Mapping<SiemRecords[Stream]> | undefined = siemMappings[format][stream];
  if (mapping === undefined) throw new TypeError(`${format} has no documents of ${stream}`);
  return toDocument(mapping, record);
}
