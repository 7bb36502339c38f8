import { Bpf2KafkaError } from '../errors.ts';
import type { StructLayout } from '../kernel/layout.ts';
import { topicSchema } from '../schemas/catalog.ts';
import type { EventTopic } from './record-codec.ts';

/** How to read records that another version has laid out. */
export interface EarlierLayout {
  /** What it lacks has a place here too, where nothing is read. */
  readonly layout: StructLayout;
  /** Fields of the topic that those records cannot tell: null, and named in `degraded`. */
  readonly lacking: readonly string[];
}

/** A bit that no version sets. */
const neverSet = 63;

/**
 * Records of another version are read by the names of their fields, wherever those stand; fields that only they have are
 * passed over. A field that they lack has to be one that may be null in the topic, under the same name.
 * @param theirs of the records in a ring that is pinned
 * @param ours of this version's own
 * @throws Bpf2KafkaError ERR_PIN_LAYOUT
 */
export function readEarlierLayout(topic: EventTopic, theirs: StructLayout, ours: StructLayout): EarlierLayout {
  const lacking: string[] = [];
  const fields = { ...theirs.fields };
  for (const [name, { bytes }] of Object.entries(ours.fields)) {
    const found = theirs.fields[name];
    if (found?.bytes === bytes) continue;
    if (name.startsWith('reserved')) continue; // padding
    if (found !== undefined) throw unknown(topic, `${name} has ${found.bytes} bytes instead of ${bytes}`);
    if (!isNullable(topic, name)) throw unknown(topic, `${name} is missing`);
    lacking.push(name);
    fields[name] = { offset: 0, bytes };
  }
  const enumerators = { ...theirs.enumerators };
  for (const name of Object.keys(ours.enumerators)) {
    if (theirs.enumerators[name] !== undefined) continue;
    const field = /^[A-Z]+_FIELD_(?<field>.+)$/.exec(name)?.groups?.field?.toLowerCase();
    if (field === undefined || !lacking.includes(field)) throw unknown(topic, `${name} is missing`);
    enumerators[name] = neverSet;
  }
  return { layout: { bytes: theirs.bytes, fields, enumerators }, lacking };
}

function isNullable(topic: EventTopic, field: string): boolean {
  const { fields } = topicSchema(topic).schema as { readonly fields: readonly { name: string; type: unknown }[] };
  const type = fields.find(({ name }) => name === field)?.type;
  return Array.isArray(type) && type.includes('null');
}

function unknown(topic: EventTopic, reason: string): Bpf2KafkaError {
  return new Bpf2KafkaError('ERR_PIN_LAYOUT', {
    operation: 'read the pinned records of',
    subject: topic,
    reason: `another version wrote them, and ${reason}`,
    remedy: 'run that version once more, with `--on-exit detach`; nothing was changed',
  });
}
