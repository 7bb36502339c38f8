/** Aborts when either does; `release` takes the listeners off signals that live as long as the process. */
export function stopOf(
  lasting: AbortSignal,
  signal: AbortSignal | undefined,
): { readonly signal: AbortSignal; readonly release: () => void } {
  const stop = new AbortController();
  const abort = () => stop.abort();
  for (const source of [lasting, signal]) {
    source?.addEventListener('abort', abort, { once: true });
    if (source?.aborted) abort();
  }
  const release = () => {
    for (const source of [lasting, signal]) source?.removeEventListener('abort', abort);
  };
  return { signal: stop.signal, release };
}

/** Resolves with `work`, or rejects when the signal aborts first. */
export async function aborted(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let abort = () => {};
  const stopped = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    await Promise.race([work, stopped]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
