import { limitOf, offsetOf, type StructLayout } from '../kernel/layout.ts';
import { type ArgvLimits, isPossibleCapture } from './argv.ts';
import { createRecordReader, type RecordReader, spanOffset, u64 } from './kernel-record.ts';

const spans = ['filename', 'interpreter', 'exe', 'cwd', 'tty', 'cgroup_path', 'ancestors', 'args', 'env'] as const;

/** How the kernel side was compiled to read argv. */
export function argvLimitsOf(layout: StructLayout): ArgvLimits {
  return {
    capturedBytes: limitOf(layout, 'ARGS_CAPTURED_BYTES'),
    tailBytes: limitOf(layout, 'ARGS_TAIL_BYTES'),
    pageBytes: limitOf(layout, 'ARGS_PAGE_BYTES'),
  };
}

/** As argvLimitsOf; of the environment there is no tail. */
export function envLimitsOf(layout: StructLayout): ArgvLimits {
  return { ...argvLimitsOf(layout), capturedBytes: limitOf(layout, 'ENV_CAPTURED_BYTES'), tailBytes: 0 };
}

/** @param layout of struct exec_record in bpf/abi.h: the only source of the offsets below */
export function createExecRecordReader(layout: StructLayout): RecordReader {
  const argsBytesAt = offsetOf(layout, 'args_bytes', 8);
  const argsPageOffsetAt = offsetOf(layout, 'args_page_offset', 4);
  const argsModeAt = offsetOf(layout, 'args_mode', 4);
  const envBytesAt = offsetOf(layout, 'env_bytes', 8);
  const envPageOffsetAt = offsetOf(layout, 'env_page_offset', 4);
  const args = spanOffset(layout, 'args');
  const env = spanOffset(layout, 'env');
  const ancestors = spanOffset(layout, 'ancestors');
  const ancestorBytes = limitOf(layout, 'ANCESTOR_BYTES');
  const fullArgs = limitOf(layout, 'EXEC_ARGS_FULL');
  const argvLimits = argvLimitsOf(layout);
  const envLimits = envLimitsOf(layout);

  function isPossibleArgv(view: DataView, at: number): boolean {
    const length = view.getUint16(at + args.length, true);
    const total = u64(view, at + argsBytesAt);
    if (view.getUint32(at + argsModeAt, true) !== fullArgs) return length <= Math.min(total, argvLimits.pageBytes);
    return isPossibleCapture(length, total, view.getUint32(at + argsPageOffsetAt, true), argvLimits);
  }

  function isPossibleEnv(view: DataView, at: number): boolean {
    const length = view.getUint16(at + env.length, true);
    const total = u64(view, at + envBytesAt);
    return isPossibleCapture(length, total, view.getUint32(at + envPageOffsetAt, true), envLimits);
  }

  return createRecordReader(
    layout,
    spans,
    (view, at) =>
      view.getUint16(at + ancestors.length, true) % ancestorBytes === 0 &&
      isPossibleArgv(view, at) &&
      isPossibleEnv(view, at),
    limitOf(layout, 'EXEC_BARE_BYTES'),
  );
}
