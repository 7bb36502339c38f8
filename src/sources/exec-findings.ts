import type { Enrichment } from '../enrich/enrichment.ts';
import type { Workload } from '../enrich/workload.ts';
import type { KernelRecord, SpanOffset } from './kernel-record.ts';
import { type Field, foundText, spanBytes, spanText } from './record-field.ts';
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
  /** Names of those that should be there and could not be found out. */
  readonly missing: (record: KernelRecord) => readonly string[];
}

const nothingMissing: readonly string[] = [];

/**
 * What user space has found out about what a record names: its user, its cgroup.
 * @param uidAt offset of the uid
 * @param cgroupPath undefined for a record in which it could not be read
 */
export function createExecFindings(
  { users, workloads }: Pick<Enrichment, 'users' | 'workloads'>,
  uidAt: number,
  cgroupPath: (record: KernelRecord) => SpanOffset | undefined,
): ExecFindings {
  const workloadOf = once((record): Workload | undefined => {
    const path = cgroupPath(record);
    return path === undefined ? undefined : workloads.of(textOf(spanBytes(record, path)));
  });
  const found: Readonly<Record<FoundName, (record: KernelRecord) => string | null | undefined>> = {
    user_name: ({ buffer, at }) => users.of(buffer.readUInt32LE(at + uidAt)),
    container_id: (record) => workloadOf(record)?.container.id,
    container_runtime: (record) => workloadOf(record)?.container.runtime,
    pod_uid: (record) => workloadOf(record)?.container.podUid,
    k8s_namespace: (record) => workloadOf(record)?.namespace,
    k8s_pod_name: (record) => workloadOf(record)?.podName,
    k8s_container_name: (record) => workloadOf(record)?.containerName,
  };
  const all = Object.entries(found);
  return {
    fields: {
      user_name: foundText(found.user_name),
      container_id: foundText(found.container_id),
      container_runtime: foundText(found.container_runtime),
      pod_uid: foundText(found.pod_uid),
      k8s_namespace: foundText(found.k8s_namespace),
      k8s_pod_name: foundText(found.k8s_pod_name),
      k8s_container_name: foundText(found.k8s_container_name),
    },
    missing(record) {
      let names = nothingMissing;
      for (const [name, of] of all) if (of(record) === undefined) names = [...names, name];
      return names;
    },
  };
}

/** A text in which something may have to be hidden, in records that are not whole. */
export function shownText(redactor: Enrichment['redactor'], span: SpanOffset): Field<string> {
  const field = spanText(span);
  return { ...field, read: (record) => redactor.text(field.read(record)) };
}

/** Whether something may have to be hidden in the texts of the span. */
export function isConcerned(redactor: Enrichment['redactor'], { buffer, at }: KernelRecord, span: SpanOffset): boolean {
  const begin = at + buffer.readUInt16LE(at + span.offset);
  return redactor.concerns(buffer, begin, begin + buffer.readUInt16LE(at + span.length));
}

/** Works the value of a record out once, for the fields that are made of it one after the other. */
export function once<Value>(of: (record: KernelRecord) => Value): (record: KernelRecord) => Value {
  let last: { readonly record: KernelRecord; readonly value: Value } | undefined;
  return (record) => {
    if (last?.record !== record) last = { record, value: of(record) };
    return last.value;
  };
}
