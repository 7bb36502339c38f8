import type { Enrichment } from '../enrich/enrichment.ts';
import type { Workload } from '../enrich/workload.ts';
import { type Key, openLearnedTable, type SpanPlace } from '../kernel/record-writer.ts';
import { textBytes } from '../schemas/avro-bytes.ts';
import type { KernelRecord } from './kernel-record.ts';
import { type Field, type Finding, foundText, spanBytes, spanText } from './record-field.ts';
import { textOf } from './text.ts';

type FoundName =
  | 'user_name'
  | 'container_id'
  | 'container_runtime'
  | 'pod_uid'
  | 'k8s_namespace'
  | 'k8s_pod_name'
  | 'k8s_container_name';

export interface ExecFindings {
  readonly fields: { readonly [Name in FoundName]: Field<string | null> };
  /** Of whole records. */
  readonly all: readonly Finding[];
  /** Names of those that should be there and could not be found out. */
  readonly missing: (record: KernelRecord) => readonly string[];
  /** Before each batch: forgets what may be known better by now. */
  readonly begin: () => void;
}

type Find = (record: KernelRecord) => string | null | undefined;

/** Users and cgroups that are busy at one time, with room. */
const tableBounds = { entries: 16_384, bytes: 16 * 1024 * 1024 };

/**
 * What user space has found out about what a record names: its user, its cgroup.
 * @param uidAt offset of the uid
 * @param cgroupPath where it stands
 * @param hasPath whether it could be read
 */
export function createExecFindings(
  { users, workloads }: Pick<Enrichment, 'users' | 'workloads'>,
  uidAt: number,
  cgroupPath: SpanPlace,
  hasPath: (record: KernelRecord) => boolean,
): ExecFindings {
  const workloadOf = once((record): Workload | undefined =>
    hasPath(record) ? workloads.of(textOf(spanBytes(record, cgroupPath))) : undefined,
  );
  const ofUser = { user_name: ({ buffer, at }: KernelRecord) => users.of(buffer.readUInt32LE(at + uidAt)) };
  const ofWorkload = {
    container_id: (record: KernelRecord) => workloadOf(record)?.container.id,
    container_runtime: (record: KernelRecord) => workloadOf(record)?.container.runtime,
    pod_uid: (record: KernelRecord) => workloadOf(record)?.container.podUid,
    k8s_namespace: (record: KernelRecord) => workloadOf(record)?.namespace,
    k8s_pod_name: (record: KernelRecord) => workloadOf(record)?.podName,
    k8s_container_name: (record: KernelRecord) => workloadOf(record)?.containerName,
  };
  const user = findingOf(ofUser, { numbers: [{ offset: uidAt, bytes: 4 }] });
  const workload = findingOf(ofWorkload, { span: cgroupPath });
  let usersVersion = users.version;
  return {
    fields: {
      user_name: user.field('user_name'),
      container_id: workload.field('container_id'),
      container_runtime: workload.field('container_runtime'),
      pod_uid: workload.field('pod_uid'),
      k8s_namespace: workload.field('k8s_namespace'),
      k8s_pod_name: workload.field('k8s_pod_name'),
      k8s_container_name: workload.field('k8s_container_name'),
    },
    all: [user.finding, workload.finding],
    missing: (record) => missingOf({ ...ofUser, ...ofWorkload }, record),
    begin() {
      const { version } = users;
      if (version !== usersVersion) user.finding.learned.clear();
      usersVersion = version;
      workload.begin();
    },
  };
}

/** The container alone, as records of exits have it. @param of undefined when it could not be found out */
export function createContainerFinding(cgroupPath: SpanPlace, of: Find) {
  const { field, finding, begin } = findingOf({ container_id: of }, { span: cgroupPath });
  return { field: field('container_id'), finding, begin };
}

/** Texts that are found out together, by the bytes that they depend on. */
function findingOf<Name extends string>(finds: Readonly<Record<Name, Find>>, key: Key) {
  const names = Object.keys(finds) as Name[];
  let incomplete = false;
  const finding: Finding = {
    learned: openLearnedTable(tableBounds),
    key,
    find(record) {
      const missing = missingOf(finds, record);
      incomplete ||= missing.length > 0;
      return { parts: names.map((name) => textBytes(finds[name](record) ?? null)), missing };
    },
  };
  return {
    finding,
    field: (name: Name) => foundText(finds[name], finding, names.indexOf(name)),
    /** What was not known is asked for again. */
    begin() {
      if (incomplete) finding.learned.clear();
      incomplete = false;
    },
  };
}

function missingOf(finds: Readonly<Record<string, Find>>, record: KernelRecord): string[] {
  return Object.keys(finds).filter((name) => finds[name]?.(record) === undefined);
}

/** A text in which something may have to be hidden, in records that are not whole. */
export function shownText(redactor: Enrichment['redactor'], span: SpanPlace): Field<string> {
  const field = spanText(span);
  return { ...field, read: (record) => redactor.text(field.read(record)) };
}

/** Whether something is hidden in the text of the span. */
export function hidesIn(redactor: Enrichment['redactor'], record: KernelRecord, span: SpanPlace): boolean {
  const text = textOf(spanBytes(record, span));
  return redactor.text(text) !== text;
}

/** Whether a pattern of the user's hides something in the texts of the span. */
export function isConcerned(redactor: Enrichment['redactor'], record: KernelRecord, span: SpanPlace): boolean {
  return redactor.concerns(spanBytes(record, span).toString().split('\0'));
}

/** Works the value of a record out once, for the fields that are made of it one after the other. */
export function once<Value>(of: (record: KernelRecord) => Value): (record: KernelRecord) => Value {
  let last: { readonly record: KernelRecord; readonly value: Value } | undefined;
  return (record) => {
    if (last?.record !== record) last = { record, value: of(record) };
    return last.value;
  };
}
