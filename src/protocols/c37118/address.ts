/**
 * Where a PMU stream is to be had, as a URI; the point of contact (aPoC) of a PMU's application and the value of `--pmu`.
 *
 *     c37118+tcp://HOST[:4712]?idcode=N                    commanded over TCP
 *     c37118+udp://HOST[:4713]?idcode=N                    commanded over UDP, answers to the asking port
 *     c37118+udp://[HOST][:4713]?idcode=N&mode=spontaneous listens there; the device sends unasked, CFG-2 now and then
 *
 * Streams listened for at one host and port share its socket and are told apart by IDCODE; the configuration names many of
 * them at once by a range, `idcode=1-1000`.
 * `configuration=3` asks for CFG-3 in place of CFG-2: names of any length, and as many PMUs as several frames hold.
 * `history=86400` keeps that many seconds of its measurements on disk, 0 none, whatever the broker does with other streams.
 * `idcode` is the stream's, 1..65534. `name=` gives the application another id than `pmu-<IDCODE>`; a stream of several
 * PMUs numbers it. HOST is numeric, IPv6 in brackets, or `localhost`.
 */
import { LONGEST_HISTORY_S } from '../../config.js';
import { refuse, type Refusal } from '../../errors.js';
import type { Address } from '../../network.js';

export type SessionMode = 'tcp' | 'udp' | 'spontaneous';

export interface StreamAddress {
  readonly mode: SessionMode;
  /** Of the device; for `spontaneous` where we listen. */
  readonly at: Address;
  readonly streamId: number;
  readonly name: string | undefined;
  /** Which is asked for. */
  readonly configuration: 2 | 3;
  /** Seconds of measurements on disk, 0 for none; undefined: as the broker has it for all. */
  readonly historyS: number | undefined;
}

/** [C37.118.2 annex E] the registered defaults. */
const DEFAULT_PORTS = { tcp: 4712, udp: 4713 } as const;
const LARGEST_ID = 65534;
const LARGEST_PORT = 65535;
const PARAMETERS: readonly string[] = ['idcode', 'name', 'mode', 'configuration', 'history'];
/** Ids that need no escape in a path. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const URI = /^c37118\+(tcp|udp):\/\/(\[[^\]]*\]|[^:/?#[\]]*)(?::(\d{0,5}))?\/?(?:\?([^#]*))?$/i;

const RANGE = /^(c37118\+udp:[^#]*[?&]idcode=)(\d{1,5})-(\d{1,5})(?=&|$)(.*)$/i;

/** The streams that an entry of the configuration stands for: a range of IDCODEs at one port is as many. Any other is itself. */
export function streamsOf(uri: string): readonly string[] {
  const [, before = '', first = '', last = '', after = ''] = RANGE.exec(uri) ?? [];
  const [from, to] = [Number(first), Number(last)];
  const isRange = first !== '' && from >= 1 && from <= to && to <= LARGEST_ID;
  const isListening = uri.includes('mode=spontaneous') && !uri.includes('name=');
  if (!isRange || !isListening) return [uri];
  return Array.from({ length: to - from + 1 }, (_, n) => `${before}${from + n}${after}`);
}

/** Which stream an address means: what it says of the history, and may say otherwise tomorrow, is no part of that. */
export const streamIdentity = (uri: string): string =>
  uri.replace(/([?&])history=[^&#]*(?:&|$)/, '$1').replace(/[?&]$/, '');

/** Reads a URI of the grammar above; STATUS_BAD_REQUEST names what is wrong. */
export function parseStreamAddress(text: string): StreamAddress | Refusal {
  const bad = (what: string): Refusal =>
    refuse('STATUS_BAD_REQUEST', `The PMU address ${JSON.stringify(text.slice(0, 200))} ${what}.`);
  const parts = URI.exec(text);
  if (!parts) return bad('is not of the form c37118+tcp://host:port?idcode=60 or c37118+udp://host:port?idcode=60');
  const transport = parts[1]?.toLowerCase() === 'udp' ? 'udp' : 'tcp';
  const query = new URLSearchParams(parts[4] ?? '');
  for (const parameter of query.keys()) {
    if (!PARAMETERS.includes(parameter)) return bad(`has a parameter ${parameter}; known: ${PARAMETERS.join(', ')}`);
    if (query.getAll(parameter).length > 1) return bad(`gives ${parameter} twice`);
  }

  const wantedMode = query.get('mode') ?? 'commanded';
  if (wantedMode !== 'commanded' && wantedMode !== 'spontaneous') {
    return bad(`has mode ${wantedMode}; it must be commanded or spontaneous`);
  }
  if (wantedMode === 'spontaneous' && transport === 'tcp')
    return bad('asks for mode spontaneous, which is over UDP only');
  const mode = wantedMode === 'spontaneous' ? 'spontaneous' : transport;

  const idText = query.get('idcode');
  if (idText === null) return bad('lacks idcode, the IDCODE of the stream, as in ?idcode=60');
  const streamId = /^\d{1,5}$/.test(idText) ? Number(idText) : 0;
  if (streamId < 1 || streamId > LARGEST_ID) {
    const range = idText.includes('-') ? '; a range is for --pmu alone, rising, with mode=spontaneous and no name' : '';
    return bad(`has idcode ${idText}; it must be 1 to ${LARGEST_ID}${range}`);
  }

  const port = parts[3] ? Number(parts[3]) : DEFAULT_PORTS[transport];
  if (port > LARGEST_PORT || (port === 0 && mode !== 'spontaneous')) {
    return bad(`has port ${port}; it must be 1 to ${LARGEST_PORT}`);
  }
  const host = numericHost(parts[2] ?? '', mode);
  if (host === undefined)
    return bad(`has the host ${JSON.stringify(parts[2])}; it must be a numeric address or localhost`);

  const name = query.get('name') ?? undefined;
  if (name !== undefined && !NAME.test(name))
    return bad(`has name ${name}; letters, digits, ".", "_" and "-" make one`);
  const configuration = query.get('configuration') ?? '2';
  if (configuration !== '2' && configuration !== '3')
    return bad(`has configuration ${configuration}; it must be 2 or 3`);
  const history = query.get('history') ?? undefined;
  if (history !== undefined && !(/^\d{1,9}$/.test(history) && Number(history) <= LONGEST_HISTORY_S))
    return bad(`has history ${history}; it must be whole seconds from 0 to ${LONGEST_HISTORY_S}`);
  return {
    ...{ mode, at: { host, port }, streamId, name },
    configuration: configuration === '3' ? 3 : 2,
    historyS: history === undefined ? undefined : Number(history),
  };
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;

function numericHost(host: string, mode: SessionMode): string | undefined {
  if (host === '' && mode === 'spontaneous') return '0.0.0.0';
  if (host.toLowerCase() === 'localhost') return '127.0.0.1';
  if (host.startsWith('[')) return URL.canParse(`http://${host}/`) ? host.slice(1, -1) : undefined;
  return IPV4.test(host) ? host : undefined;
}
