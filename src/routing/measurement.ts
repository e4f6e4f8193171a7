/**
 * One PMU's measurement of one instant, in the field's terms and in engineering units, whatever protocol brought it
 * [C37.118.2]. The implementation decodes when asked: most samples pass through the broker without anybody looking inside.
 */

export interface PhasorChannel {
  readonly name: string;
  readonly unit: 'V' | 'A';
}

export interface AnalogChannel {
  readonly name: string;
  readonly kind: 'point-on-wave' | 'rms' | 'peak' | 'user';
}

/** What a PMU says of itself in its configuration; constant until the configuration changes. */
export interface PmuDescriptor {
  /** Data source id, 1..65534 (not the stream's). */
  readonly idCode: number;
  /** The stream that carries it; equal to `idCode` for a PMU that speaks for itself. */
  readonly streamId: number;
  readonly stationName: string;
  readonly nominalHz: 50 | 60;
  /** Frames per second; below one per second a fraction, 1/10 for one frame in 10 s. */
  readonly reportingRate: number;
  readonly phasors: readonly PhasorChannel[];
  readonly analogs: readonly AnalogChannel[];
  /** Names of the digital points, 16 a word, least significant bit first. */
  readonly digitals: readonly string[];
  /** CFGCNT: changes when the configuration does. */
  readonly configurationCount: number;
}

/** RMS magnitude in V or A, angle in radians against a cosine at nominal frequency locked to the UTC second. NaN: absent. */
export interface Phasor {
  readonly magnitude: number;
  readonly angle: number;
}

/** What can be said as a C37.118 data frame. */
export interface Framed {
  /** A data frame, decodable with `configuration()`. */
  frame(): Uint8Array;
  /** The CFG-2 frame that decodes `frame()`. */
  configuration(): Uint8Array;
}

/** How the measurements of one PMU and configuration lie as bytes in a history. */
export interface PackedForm {
  /** Of each. */
  readonly bytes: number;
  read(from: Buffer, at: number): Measurement;
}

/** Framed with this PMU alone. */
export interface Measurement extends Framed {
  /** Length of `frame()`. */
  readonly frameBytes: number;
  /**
   * Writes the bytes of `frame()`, its CHK perhaps 0, and makes nothing for it: a third of the time, where it is kept, and whoever keeps it
   * has a checksum of his own. What reads it again completes it.
   */
  writeFrame(into: Buffer, at: number): void;
  readonly descriptor: PmuDescriptor;
  /** STAT as sent, 16 bits. */
  readonly stat: number;
  /** The time quality byte of FRACSEC, as sent. */
  readonly timeQuality: number;
  /** Hz; NaN when absent or implausible (more than 5 Hz off nominal, or no voltage at all). */
  readonly frequencyHz: number;
  /** Hz/s; NaN when absent. */
  readonly rocofHzPerS: number;
  readonly phasors: readonly Phasor[];
  readonly analogs: readonly number[];
  /** Digital words, 16 points each. */
  readonly digitals: readonly number[];
  /**
   * Writes all its numbers in the order of its records [records.ts], and tells how many they are: nothing is made for each. Absent
   * where reading them one by one costs no more.
   */
  writeNumbers?(into: Float64Array): number;
  /** Absent where it stays as it is. */
  readonly packed?: PackedForm | undefined;
  /** Writes the bytes of its packed form. Absent where it has none. */
  pack?(into: Buffer, at: number): void;
  /** Of one that is not as it was sent. */
  readonly processing?: Processing | undefined;
  /**
   * The same PMU at the same instant with other values.
   *
   * @param from what they were made of: STAT and the time quality are the worst of theirs, and STAT says that the data was modified
   */
  remade(values: Processed, from: readonly Measurement[], processing: Processing): Measurement;
}

/** The values of a measurement that processing may change. */
export type Processed = Pick<Measurement, 'frequencyHz' | 'rocofHzPerS' | 'phasors' | 'analogs' | 'digitals'>;

/** What was done to a measurement on its way. */
export interface Processing {
  readonly method: string;
  /** Samples per second. */
  readonly inputRate: number;
  readonly outputRate: number;
  /** How much later than its tag it can be known; the tag itself is right. */
  readonly groupDelayS: number;
}
