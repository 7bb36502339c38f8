/** Headers of the Kafka record of an event: its identity, so that a repeat is known without decoding the value. */
export function eventHeaders({
  boot_id,
  seq,
}: {
  readonly boot_id: string;
  readonly seq: number;
}): Readonly<Record<string, string>> {
  return { boot_id, seq: String(seq) };
}
