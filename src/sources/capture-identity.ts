/** What is the same for every record of a capture. */
export interface CaptureIdentity {
  readonly hostId: string;
  readonly hostName: string | null;
  readonly bootId: string;
  /** Microseconds since boot. */
  readonly attachId: number;
}
