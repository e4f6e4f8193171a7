/**
 * The device's side of commands: a WebSocket session attached to an application, whose commands come to a handler. It is
 * attached again whenever the connection breaks or the broker was away, and its words are said until they are heard.
 */
import { systemClock } from '../clock.js';
import { CommandDesk, type CommandHandler, type DeskOptions } from './command-desk.js';
import type { GridcastError } from './error.js';
import { parseTarget } from './target.js';
import { WsClient } from './ws-client.js';
import type { ConnectionListener, WsClientOptions } from './ws-options.js';

export interface Device {
  /** Resolves to the reason when it is over for good: closed, or refused by the broker. */
  readonly closed: Promise<GridcastError>;
  /** Is told what becomes of the connection. Returns what stops it. */
  watch(listener: ConnectionListener): () => void;
  /** The ledger stays open: it is its opener's to close. */
  close(): Promise<void>;
}

/** With a `ledger` a command has its effect once, even if the device dies over it; `recall` then says what became of it. */
export type DeviceOptions = Omit<WsClientOptions, 'reconnect' | 'attach' | 'received'> &
  Pick<DeskOptions, 'ledger' | 'recall'>;

/** @param uri of the application, `ws://127.0.0.1:8080/m2m/applications/pmu-1`. Throws as `open` does. */
export async function attachDevice(uri: string, handle: CommandHandler, options: DeviceOptions = {}): Promise<Device> {
  const target = parseTarget(uri);
  const { clock = systemClock, ledger, recall } = options;
  let attached: (client: Promise<WsClient>) => void = () => {};
  // A promise: the first command may come in one packet with the welcome.
  const opened = new Promise<WsClient>((resolve) => (attached = resolve));
  const desk = new CommandDesk({
    handle,
    clock,
    say: async (word) => (await opened).tell('outcome', { ...word }),
    ...(ledger && { ledger }),
    ...(recall && { recall }),
  });
  // What an earlier life did is known before the first command comes.
  await desk.open();
  attached(
    WsClient.open(target, {
      ...options,
      reconnect: true,
      attach: [target.path],
      received: (kind, body) => {
        if (kind === 'command') desk.take(body);
      },
    }),
  );
  const client = await opened;
  return { closed: client.closed, watch: (listener) => client.watch(listener), close: () => client.close() };
}
