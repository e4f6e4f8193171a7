/** Writes pcap files, as a capture tool would. */
export interface PcapForm {
  readonly isLittle?: boolean;
  readonly isNano?: boolean;
  readonly linkType?: number;
}

export function pcapFile(
  packets: readonly { readonly atUs: number; readonly bytes: Uint8Array }[],
  { isLittle = true, isNano = false, linkType = 1 }: PcapForm = {},
): Uint8Array {
  const u32 = (value: number): Buffer => (isLittle ? be32(value).reverse() : be32(value));
  const u16 = (value: number): Buffer => (isLittle ? u32(value).subarray(0, 2) : u32(value).subarray(2));
  const magic = isNano ? 0xa1b2_3c4d : 0xa1b2_c3d4;
  const header = [u32(magic), u16(2), u16(4), u32(0), u32(0), u32(65_535), u32(linkType)];
  const records = packets.flatMap(({ atUs, bytes }) => {
    const fraction = (atUs % 1_000_000) * (isNano ? 1000 : 1);
    return [u32(Math.floor(atUs / 1_000_000)), u32(fraction), u32(bytes.length), u32(bytes.length), bytes];
  });
  return Buffer.concat([...header, ...records]);
}

const be16 = (value: number): Buffer => Buffer.from([(value >> 8) & 0xff, value & 0xff]);
const be32 = (value: number): Buffer => Buffer.concat([be16(value >>> 16), be16(value & 0xffff)]);

/** An IPv4 packet from 10.0.0.1 to 10.0.0.2. */
function ipv4(protocol: number, transport: Uint8Array): Buffer {
  const head = [Buffer.from([0x45, 0]), be16(20 + transport.length), be32(0), Buffer.from([64, protocol]), be16(0)];
  return Buffer.concat([...head, Buffer.from([10, 0, 0, 1, 10, 0, 0, 2]), transport]);
}

export const udpPacket = (from: number, to: number, payload: Uint8Array): Buffer =>
  ipv4(17, Buffer.concat([be16(from), be16(to), be16(8 + payload.length), be16(0), payload]));

export const tcpPacket = (from: number, to: number, sequence: number, payload: Uint8Array, flags = 0x18): Buffer =>
  ipv4(
    6,
    Buffer.concat([
      be16(from),
      be16(to),
      be32(sequence),
      be32(0),
      Buffer.from([0x50, flags]),
      be16(0),
      be32(0),
      payload,
    ]),
  );

/** Ethernet around an IPv4 packet, padded to the least a frame has. */
export function ethernet(packet: Uint8Array, ...vlanTags: number[]): Buffer {
  const tags = vlanTags.flatMap((tag) => [be16(0x8100), be16(tag)]);
  const frame = Buffer.concat([Buffer.alloc(12), ...tags, be16(0x0800), packet]);
  return Buffer.concat([frame, Buffer.alloc(Math.max(0, 60 - frame.length))]);
}

/** Linux cooked capture v1. */
export const cooked = (packet: Uint8Array): Buffer => Buffer.concat([Buffer.alloc(14), be16(0x0800), packet]);
