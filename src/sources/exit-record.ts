import type { StructLayout } from '../kernel/layout.ts';
import { createRecordReader, type RecordReader } from './kernel-record.ts';

/** @param layout of struct exit_record in bpf/abi.h */
export function createExitRecordReader(layout: StructLayout): RecordReader {
  return createRecordReader(layout, ['cgroup_path']);
}
