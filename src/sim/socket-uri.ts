/** Where a simulator listens or sends: `tcp://127.0.0.1:4712`, `udp://[::1]:4713`, `tcp://localhost:0` (any free port). */
import { refuse, type Refusal } from '../errors.js';
import { addressKey, type Address } from '../network.js';

export interface SocketUri extends Address {
  readonly scheme: 'tcp' | 'udp';
}

const LARGEST_PORT = 65_535;
const FORM = /^(tcp|udp):\/\/(\d{1,3}(?:\.\d{1,3}){3}|localhost|\[[0-9a-f:.]+\]):(\d{1,5})\/?$/i;

/** @param option the option's name, for the refusal */
export function parseSocketUri(option: string, text: string): SocketUri | Refusal {
  const [, scheme, host = '', port] = FORM.exec(text) ?? [];
  if (!scheme || Number(port) > LARGEST_PORT || !URL.canParse(`http://${host}/`)) {
    return refuse(
      'STATUS_BAD_REQUEST',
      `${option} is tcp://HOST:PORT or udp://HOST:PORT, HOST an IP address or localhost; not ${JSON.stringify(text)}.`,
    );
  }
  return {
    scheme: scheme.toLowerCase() === 'tcp' ? 'tcp' : 'udp',
    host: host.toLowerCase() === 'localhost' ? '127.0.0.1' : host.replace(/^\[|\]$/g, ''),
    port: Number(port),
  };
}

export const socketUri = (scheme: SocketUri['scheme'], at: Address): string => `${scheme}://${addressKey(at)}`;
