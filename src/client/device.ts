/** The device's side of commands: a WebSocket session attached to an application, whose commands come to a handler. */
import { systemClock } from '../clock.js';
import { CommandDesk, type CommandHandler } from './command-desk.js';
import type { GridcastError } from './error.js';
import { parseTarget } from './target.js';
import { WsClient, type WsClientOptions } from './ws-client.js';

export interface Device {
  /** Resolves to the reason when the session has ended, from either side. */
  readonly closed: Promise<GridcastError>;
  close(): Promise<void>;
}

/** @param uri of the application, `ws://127.0.0.1:8080/m2m/applications/pmu-1`. Throws as `open` does. */
export async function attachDevice(
  uri: string,
  handle: CommandHandler,
  options: WsClientOptions = {},
): Promise<Device> {
  const target = parseTarget(uri);
  const desk = new CommandDesk(handle, options.clock ?? systemClock, (word) => client.tell('outcome', { ...word }));
  const client = await WsClient.open(target, {
    ...options,
    attach: [target.path],
    received: (kind, body) => {
      if (kind === 'command') desk.take(body);
    },
  });
  return { closed: client.closed, close: () => client.close() };
}
