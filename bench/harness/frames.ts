/** Splits what kcat prints with `-f '%S\n%s\n'` into values, however the pipe has cut it. */
export class FrameReader {
  #rest = Buffer.alloc(0);

  push(chunk: Buffer): Buffer[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const values: Buffer[] = [];
    let at = 0;
    for (;;) {
      const lineEnd = bytes.indexOf(0x0a, at);
      if (lineEnd < 0) break;
      const length = Math.max(0, Number(bytes.toString('latin1', at, lineEnd)));
      const end = lineEnd + 1 + length;
      // With the line end behind the value.
      if (end + 1 > bytes.length) break;
      values.push(bytes.subarray(lineEnd + 1, end));
      at = end + 1;
    }
    this.#rest = Buffer.from(bytes.subarray(at));
    return values;
  }
}
