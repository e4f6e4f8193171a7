/** What a device says its data is: CFG-2 in a frame, or CFG-3 in one or more, as the configuration that decodes the data. */
import { decodeConfiguration, type Configuration } from './configuration.js';
import { configuration2Of, writeConfiguration3 } from './configuration3.js';
import { Configuration3Parts, decodeConfiguration3 } from './configuration3-parts.js';
import { CHK_BYTES, HEAD_BYTES, typeOf, type Malformed } from './frame.js';

export interface Announced {
  readonly kind: 'announced';
  readonly configuration: Configuration;
  /** All that was said but the time of sending: equal where nothing has changed. */
  readonly said: Uint8Array;
}

export const saysTheSame = (one: Announced, other: Announced): boolean => Buffer.compare(one.said, other.said) === 0;

export class ConfigurationReader {
  private readonly parts = new Configuration3Parts();

  /**
   * @param frame a checked frame, CFG-2 or CFG-3
   * @returns undefined: more of it is to come
   */
  take(frame: Uint8Array): Announced | Malformed | undefined {
    if (typeOf(frame) === 'configuration2') {
      const configuration = decodeConfiguration(frame, 'configuration2');
      if (configuration.kind === 'malformed') return configuration;
      return { kind: 'announced', configuration, said: frame.subarray(HEAD_BYTES, -CHK_BYTES) };
    }
    const decoded = decodeConfiguration3(frame);
    const whole = decoded.kind === 'configuration3Part' ? this.parts.take(decoded) : decoded;
    if (whole === undefined || whole.kind === 'malformed') return whole;
    const configuration = configuration2Of(whole);
    if (configuration.kind === 'malformed') return configuration;
    return { kind: 'announced', configuration, said: writeConfiguration3(whole) };
  }
}
