/** One piece of work at a time, in the order in which they were asked for. */
export class SerialWork {
  #last: Promise<unknown> = Promise.resolve();

  run<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {}); // told to the caller, and no reason not to do the next one
    return result;
  }
}
