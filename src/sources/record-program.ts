import type { RecordProgram, Step } from '../kernel/record-writer.ts';
import type { FieldStep, Finding, Given } from './record-field.ts';
import type { RecordTable } from './record-table.ts';

/** The table of a topic's fields as the addon takes it, and what its indexes stand for. */
export interface CompiledTable {
  readonly program: RecordProgram;
  /** In the order in which they are given for each record. */
  readonly given: readonly Given[];
  /** In the order of the program's tables. */
  readonly findings: readonly Finding[];
}

/** @param frame stands before the fields of every value */
export function compileTable<Event>(
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
        return { ...step, steps: joined(step.steps).map(indexed) };
      default:
        return step;
    }
  };
  const all = Object.values<{ readonly steps: readonly FieldStep[] }>(fields).flatMap(({ steps }) => steps);
  const steps = joined([{ kind: 'bytes', bytes: frame }, ...all]).map(indexed);
  const tables = findings.map(({ learned, key }) => ({ learned, key }));
  const program = { steps, whole, tables, secrets, kept, recordBytes: layout.bytes, given: given.length };
  return { program, given, findings };
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
