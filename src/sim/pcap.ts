/**
 * Reads classic pcap files down to the payloads of UDP and TCP over IPv4.
 *
 *     file header 24 bytes | record: time 8, captured 4, original 4 | link header | IPv4 | UDP or TCP | payload
 *
 * Either byte order, microseconds or nanoseconds; Ethernet (with VLAN tags), Linux "cooked" and raw IP. What else a capture
 * holds (ARP, IPv6, IP fragments) is passed over. Bounds are checked before bytes are read: files come from anywhere.
 */
import { refuse, type Refusal } from '../errors.js';
import type { Address } from '../network.js';

/** One UDP datagram or TCP segment with the bytes it carries. */
export interface Packet {
  /** When it was captured, microseconds since the epoch. */
  readonly atUs: number;
  readonly from: Address;
  readonly to: Address;
  /** Absent for UDP. */
  readonly tcp: { readonly sequence: number; readonly isSyn: boolean } | undefined;
  readonly payload: Uint8Array;
}

const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const MICROSECOND_MAGIC = 0xa1b2_c3d4;
const NANOSECOND_MAGIC = 0xa1b2_3c4d;
const PCAPNG_MAGIC = 0x0a0d_0d0a;

/** LINKTYPE_*: where the EtherType stands; the network layer follows it. */
const ETHER_TYPE_AT: Readonly<Record<number, number>> = { 1: 12, 113: 14 };
/** LINKTYPE_RAW and LINKTYPE_IPV4: the network layer at once. */
const RAW_IP: readonly number[] = [101, 228];
const ETHER_TYPE_IPV4 = 0x0800;
const ETHER_TYPES_VLAN: readonly number[] = [0x8100, 0x88a8];
const VLAN_TAG_BYTES = 4;
const IPV4_LEAST_BYTES = 20;
const UDP_HEADER_BYTES = 8;
const TCP_LEAST_BYTES = 20;
const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;
/** The flag "more fragments" and the fragment offset. */
const FRAGMENT = 0x3fff;
const SYN = 0x02;

/** The payloads of a capture in its order; a file cut short gives what is whole. */
export function readPcap(file: Uint8Array): readonly Packet[] | Refusal {
  const bad = (what: string): Refusal => refuse('STATUS_UNSUPPORTED_MEDIA_TYPE', `The capture ${what}.`);
  if (file.length < FILE_HEADER_BYTES) return bad('is shorter than a pcap header');
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const isLittle = [MICROSECOND_MAGIC, NANOSECOND_MAGIC].includes(view.getUint32(0, true));
  const magic = view.getUint32(0, isLittle);
  if (magic === PCAPNG_MAGIC) return bad('is pcapng; `editcap -F pcap IN OUT` makes a classic pcap of it');
  if (magic !== MICROSECOND_MAGIC && magic !== NANOSECOND_MAGIC) return bad('does not begin as a pcap file does');
  const perUs = magic === NANOSECOND_MAGIC ? 1000 : 1;
  // The upper bits tell of frame check sequences, which stand behind all that is read here.
  const linkType = view.getUint32(20, isLittle) & 0xffff;
  if (!RAW_IP.includes(linkType) && ETHER_TYPE_AT[linkType] === undefined) {
    return bad(`has link type ${linkType}; Ethernet, Linux cooked and raw IP are read`);
  }

  const packets: Packet[] = [];
  for (let at = FILE_HEADER_BYTES; at + RECORD_HEADER_BYTES <= file.length;) {
    const atUs = view.getUint32(at, isLittle) * 1_000_000 + Math.floor(view.getUint32(at + 4, isLittle) / perUs);
    const start = at + RECORD_HEADER_BYTES;
    const end = start + view.getUint32(at + 8, isLittle);
    if (end > file.length) break;
    const packet = readIpv4(networkLayer(file.subarray(start, end), linkType), atUs);
    if (packet) packets.push(packet);
    at = end;
  }
  return packets;
}

/** The network layer if it may be IPv4, nothing otherwise. */
function networkLayer(bytes: Uint8Array, linkType: number): Uint8Array {
  let at = ETHER_TYPE_AT[linkType];
  if (at === undefined) return bytes;
  while (ETHER_TYPES_VLAN.includes(u16(bytes, at))) at += VLAN_TAG_BYTES;
  return u16(bytes, at) === ETHER_TYPE_IPV4 ? bytes.subarray(at + 2) : new Uint8Array(0);
}

function readIpv4(bytes: Uint8Array, atUs: number): Packet | undefined {
  if (bytes.length < IPV4_LEAST_BYTES || byte(bytes, 0) >> 4 !== 4 || u16(bytes, 6) & FRAGMENT) return undefined;
  const headerBytes = (byte(bytes, 0) & 0x0f) * 4;
  // The packet's own length: Ethernet pads short ones. 0 comes of offloading, when the card was to fill it in.
  const end = u16(bytes, 2) || bytes.length;
  const ip = { from: dotted(bytes, 12), to: dotted(bytes, 16) };
  const transport = bytes.subarray(headerBytes, end);
  const [from, to] = [
    { host: ip.from, port: u16(transport, 0) },
    { host: ip.to, port: u16(transport, 2) },
  ];
  switch (byte(bytes, 9)) {
    case PROTOCOL_UDP:
      if (transport.length < UDP_HEADER_BYTES) return undefined;
      return { atUs, from, to, tcp: undefined, payload: transport.subarray(UDP_HEADER_BYTES, u16(transport, 4)) };
    case PROTOCOL_TCP: {
      if (transport.length < TCP_LEAST_BYTES) return undefined;
      const sequence = ((u16(transport, 4) << 16) | u16(transport, 6)) >>> 0;
      const tcp = { sequence, isSyn: (byte(transport, 13) & SYN) !== 0 };
      return { atUs, from, to, tcp, payload: transport.subarray((byte(transport, 12) >> 4) * 4) };
    }
    default:
      return undefined;
  }
}

const byte = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;
const u16 = (bytes: Uint8Array, at: number): number => (byte(bytes, at) << 8) | byte(bytes, at + 1);
const dotted = (bytes: Uint8Array, at: number): string => bytes.subarray(at, at + 4).join('.');
