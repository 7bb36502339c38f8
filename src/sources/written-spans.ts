interface Written {
  readonly from: Buffer;
  readonly offset: number;
  readonly avro: Buffer;
}

/** How many are kept: the parents that are busy at one time. */
const places = 512;

/** What was written for bytes of a record that come again and again: the same bytes give the same Avro. */
export class WrittenSpans {
  readonly #places: (Written | undefined)[] = new Array(places).fill(undefined);

  /**
   * Copies what was kept.
   * @param offset of wall time, of which the Avro was made too
   * @returns the end, as the functions of avro-bytes.ts; undefined when nothing is kept for these bytes
   */
  write(out: Buffer, at: number, bytes: Buffer, begin: number, end: number, offset: number): number | undefined {
    const found = this.#places[placeOf(bytes, begin, end)];
    if (found === undefined || found.offset !== offset || found.from.length !== end - begin) return undefined;
    if (found.from.compare(bytes, begin, end) !== 0) return undefined;
    found.avro.copy(out, at);
    return at + found.avro.length;
  }

  /** Keeps a copy, in place of what has been kept there. */
  keep(bytes: Buffer, begin: number, end: number, offset: number, avro: Buffer): void {
    const from = Buffer.from(bytes.subarray(begin, end));
    this.#places[placeOf(bytes, begin, end)] = { from, offset, avro: Buffer.from(avro) };
  }
}

/** By the first words: the start time and the pid of the nearest ancestor. */
function placeOf(bytes: Buffer, begin: number, end: number): number {
  if (end - begin < 12) return 0;
  return ((Math.imul(bytes.readUInt32LE(begin), 0x9e3779b1) ^ bytes.readUInt32LE(begin + 8)) >>> 0) % places;
}
