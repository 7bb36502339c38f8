import type { RecordProgram, Step } from '../kernel/record-writer.ts';
import { longBytes, stringBytes } from '../schemas/avro-bytes.ts';
import type { Field, FieldStep, Finding, Given } from './record-field.ts';
import type { RecordFields, RecordTable } from './record-table.ts';

/** The table of a topic's fields as the addon takes it, and what its indexes stand for. */
export interface CompiledTable {
  readonly program: RecordProgram;
  /** In the order in which they are given for each record. */
  readonly given: readonly Given[];
  /** In the order of the program's tables. */
  readonly findings: readonly Finding[];
}

/** The fields that a Kafka record has beside its value, too. */
export interface EventIdentity {
  readonly host_id: string;
  readonly boot_id: string;
  readonly seq: number;
  readonly event_time: number;
}

/** @param frame stands before the fields of every value */
export function compileTable<Event extends EventIdentity>(
  { fields, layout, whole, secrets, kept }: RecordTable<Event>,
  frame: Uint8Array,
): CompiledTable {
  const given: Given[] = [];
  const findings: Finding[] = [];
  const indexed = (step: FieldStep): Step<number, number> => {
    switch (step.kind) {
      case 'millis':
      case 'given':
        return { ...step, of: indexIn(given, step.of) };
      case 'learned':
        return { ...step, of: indexIn(findings, step.of) };
      case 'missing':
        return { ...step, of: step.of.map((finding) => indexIn(findings, finding)) };
      case 'when':
      case 'items':
      case 'keep':
      case 'sized':
        return { ...step, steps: joined(step.steps).map(indexed) };
      default:
        return step;
    }
  };
  const steps = joined(recordSteps(fields, frame)).map(indexed);
  const { place, of } = onlyStep(fields.event_time, 'millis');
  const timestamp = { place, of: indexIn(given, of) };
  const tables = findings.map(({ learned, key }) => ({ learned, key }));
  const program = { steps, timestamp, whole, tables, secrets, kept, recordBytes: layout.bytes, given: given.length };
  return { program, given, findings };
}

/** Key, value, and headers as `eventHeaders` has them: Kafka's numbers and texts are the same bytes as Avro's. */
function recordSteps<Event extends EventIdentity>(fields: RecordFields<Event>, frame: Uint8Array): FieldStep[] {
  const all = Object.values<{ readonly steps: readonly FieldStep[] }>(fields).flatMap(({ steps }) => steps);
  const { place } = onlyStep(fields.seq, 'number');
  const name = (text: string): FieldStep => ({ kind: 'bytes', bytes: stringBytes(text) });
  return [
    ...fields.host_id.steps,
    { kind: 'sized', steps: [{ kind: 'bytes', bytes: frame }, ...all] },
    { kind: 'bytes', bytes: longBytes(2) },
    name('boot_id'),
    ...fields.boot_id.steps,
    name('seq'),
    { kind: 'decimal', place },
  ];
}

function onlyStep<Kind extends FieldStep['kind']>({ steps }: Field<unknown>, kind: Kind) {
  const [step, ...others] = steps;
  if (step?.kind !== kind || others.length > 0) throw new Error(`a field of one step ${kind} is expected`);
  return step as Extract<FieldStep, { readonly kind: Kind }>;
}

function indexIn<Item>(items: Item[], item: Item): number {
  const found = items.indexOf(item);
  return found >= 0 ? found : items.push(item) - 1;
}

/** What is the same for each record and stands side by side, in one piece. */
function joined(steps: readonly FieldStep[]): FieldStep[] {
  const result: FieldStep[] = [];
  for (const step of steps) {
    const last = result.at(-1);
    if (step.kind === 'bytes' && last?.kind === 'bytes')
      result[result.length - 1] = { kind: 'bytes', bytes: Buffer.concat([last.bytes, step.bytes]) };
    else result.push(step);
  }
  return result;
}
