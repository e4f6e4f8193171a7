/** Addresses as the kernel spells them: sockaddr_in, 16 bytes, and sockaddr_in6, 28 [ip(7), ipv6(7)]. */
import { addressKey, type Address } from './udp-socket.js';
import type { Libc } from './libc.js';

const BYTES_IPV6 = 28;
const BYTES_IPV4 = 16;
const [AF_INET, AF_INET6] = [2, 10];
const [PORT, HOST_IPV4, HOST_IPV6] = [2, 4, 8];
/** Senders remembered; beyond, all are forgotten. */
const MOST_KNOWN = 16_384;

export const familyOf = (isIpv6: boolean): number => (isIpv6 ? AF_INET6 : AF_INET);
export const nameBytes = (isIpv6: boolean): number => (isIpv6 ? BYTES_IPV6 : BYTES_IPV4);

/** The words of a name, in 28 bytes; undefined where the host is no numeric address of this family. */
export function nameOf(libc: Libc, isIpv6: boolean, { host, port }: Address): Uint32Array | undefined {
  const name = new Uint32Array(BYTES_IPV6 / 4);
  const bytes = new Uint8Array(name.buffer);
  bytes.set([familyOf(isIpv6), 0, port >>> 8, port & 0xff]);
  const isRead = libc.inet_pton(familyOf(isIpv6), host, bytes.subarray(isIpv6 ? HOST_IPV6 : HOST_IPV4)) === 1;
  return isRead ? name : undefined;
}

/** Reads the names of IPv4 senders back; each is one object as long as it is remembered. */
export class Senders {
  private readonly known = new Map<number, Address>();

  /** @param at where a name begins in `bytes` */
  read(bytes: Uint8Array, at: number): Address {
    let key = 0;
    for (let n = at + PORT; n < at + HOST_IPV4 + 4; n++) key = key * 256 + (bytes[n] ?? 0);
    let address = this.known.get(key);
    if (!address) {
      if (this.known.size >= MOST_KNOWN) this.known.clear();
      const port = ((bytes[at + PORT] ?? 0) << 8) | (bytes[at + PORT + 1] ?? 0);
      const host = bytes.subarray(at + HOST_IPV4, at + HOST_IPV4 + 4).join('.');
      address = { host, port, key: addressKey({ host, port }) };
      this.known.set(key, address);
    }
    return address;
  }
}
