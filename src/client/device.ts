/**
 * The device's side of commands: a WebSocket session attached to an application, whose commands come to a handler. It is
 * attached again whenever the connection breaks or the broker was away, and its words are said until they are heard.
 */
import { systemClock } from '../clock.js';
import { CommandDesk, type CommandHandler } from './command-desk.js';
import type { GridcastError } from './error.js';
import { parseTarget } from './target.js';
import { WsClient } from './ws-client.js';
import type { ConnectionListener, WsClientOptions } from './ws-options.js';

export interface Device {
  /** Resolves to the reason when it is over for good: closed, or refused by the broker. */
  readonly closed: Promise<GridcastError>;
  /** Is told what becomes of the connection. Returns what stops it. */
  watch(listener: ConnectionListener): () => void;
  close(): Promise<void>;
}

/** @param uri of the application, `ws://127.0.0.1:8080/m2m/applications/pmu-1`. Throws as `open` does. */
export async function attachDevice(
  uri: string,
  handle: CommandHandler,
  options: Omit<WsClientOptions, 'reconnect' | 'attach' | 'received'> = {},
): Promise<Device> {
  const target = parseTarget(uri);
  const desk = new CommandDesk(handle, options.clock ?? systemClock, async (word) =>
    (await opened).tell('outcome', { ...word }),
  );
  // A promise: the first command may come in one packet with the welcome.
  const opened = WsClient.open(target, {
    ...options,
    reconnect: true,
    attach: [target.path],
    received: (kind, body) => {
      if (kind === 'command') desk.take(body);
    },
  });
  const client = await opened;
  return { closed: client.closed, watch: (listener) => client.watch(listener), close: () => client.close() };
}
