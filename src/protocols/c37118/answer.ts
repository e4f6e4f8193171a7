/** What a stream answers when it is asked what it is: the header, and its configuration as CFG-1, CFG-2 or CFG-3. */
import type { Framed } from '../../routing/measurement.js';
import { COMMANDS, encodeHeader } from './command.js';
import { decodeConfiguration, encodeConfiguration, reportingRate, type Configuration } from './configuration.js';
import { configuration3Of } from './configuration3.js';
import { encodeConfiguration3 } from './configuration3-parts.js';
import { LARGEST_FRAME } from './frame.js';
import { usTag } from './time.js';

/**
 * The frames that answer one of COMMANDS; none: silence, for a command that asks for nothing.
 *
 * @param idCode under which the stream was asked for
 * @param wallUs the instant of sending, which is what all frames but data tell
 * @param largest bytes that a frame may have
 */
export function answerTo(
  code: number,
  idCode: number,
  newest: Framed,
  wallUs: number,
  largest = LARGEST_FRAME,
): readonly Uint8Array[] {
  const decoded = decodeConfiguration(newest.configuration(), 'configuration2');
  if (decoded.kind === 'malformed') return [];
  const configuration = { ...decoded, streamId: idCode, timeQuality: 0, ...usTag(wallUs, decoded.timeBase) };
  switch (code) {
    case COMMANDS.sendHeader:
      return [encodeHeader({ ...configuration, kind: 'header', text: headerText(configuration) })];
    case COMMANDS.sendConfiguration1:
      return [encodeConfiguration({ ...configuration, kind: 'configuration1' })];
    case COMMANDS.sendConfiguration2:
      return [encodeConfiguration(configuration)];
    case COMMANDS.sendConfiguration3:
      return encodeConfiguration3(configuration3Of(configuration), largest);
    default:
      return [];
  }
}

/** For people. */
function headerText(configuration: Configuration): string {
  const pmus = configuration.pmus.map(
    ({ idCode, stationName }) => `${idCode} ${stationName.replaceAll('\0', ' ').trim()}`,
  );
  return `Gridcast, ${reportingRate(configuration)} frames per second of ${pmus.length} PMU(s): ${pmus.join(', ')}`;
}
