/** What must not outlive the bench, however it ends: settings of the kernel, pins, processes. */
const tasks = new Set<() => void>();

/** Runs the task, which must be synchronous, when it is disposed or when the process ends, once. */
export function atEnd(task: () => void): Disposable {
  const once = () => {
    if (tasks.delete(once)) task();
  };
  tasks.add(once);
  return { [Symbol.dispose]: once };
}

export function cleanUp(): void {
  for (const task of [...tasks].reverse()) {
    try {
      task();
    } catch (error) {
      process.stderr.write(`bench: not cleaned up: ${(error as Error).message}\n`);
    }
  }
}

export function cleanUpOnExit(): void {
  process.once('exit', cleanUp);
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ] as const)
    process.once(signal, () => process.exit(128 + number));
}
