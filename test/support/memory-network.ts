/** A network inside one process: TCP whose bytes are there in the turn that writes them, so that a broker can run on a clock that a test moves. */
import { addressKey, type Address, type Network, type TcpConnection } from '../../src/network.js';

const FIRST_PORT = 49_152;

type Accept = (connection: TcpConnection) => void;

/** One end of a connection. */
class End implements TcpConnection {
  other: End | undefined;
  private receive: (bytes: Buffer) => void = () => {};
  private closed: (error: Error | undefined) => void = () => {};

  constructor(
    readonly local: Address,
    readonly remote: Address,
  ) {}

  write(bytes: Uint8Array): boolean {
    this.other?.receive(Buffer.from(bytes));
    return this.other !== undefined;
  }
  onBytes(receive: (bytes: Buffer) => void): void {
    this.receive = receive;
  }
  /** What is written is taken at once. */
  onDrain(): void {}
  onClose(closed: (error: Error | undefined) => void): void {
    this.closed = closed;
  }
  close(): void {
    const { other } = this;
    if (!other) return;
    this.other = other.other = undefined;
    for (const end of [this, other]) end.closed(undefined);
  }
}

export function memoryNetwork(): Network {
  const listening = new Map<string, Accept>();
  let nextPort = FIRST_PORT;
  const placed = ({ host, port }: Address): Address => ({ host, port: port === 0 ? nextPort++ : port });
  return {
    bindUdp: () => Promise.reject(new Error('the memory network has no UDP')),
    connectTcp(to) {
      const accept = listening.get(addressKey(to));
      if (!accept) return Promise.reject(new Error(`nobody listens at ${addressKey(to)}`));
      const from = placed({ host: to.host, port: 0 });
      const [near, far] = [new End(from, to), new End(to, from)];
      near.other = far;
      far.other = near;
      accept(far);
      return Promise.resolve(near);
    },
    listenTcp(at, accept) {
      const local = placed(at);
      listening.set(addressKey(local), accept);
      return Promise.resolve({
        local,
        close: () => {
          listening.delete(addressKey(local));
          return Promise.resolve();
        },
      });
    },
  };
}
