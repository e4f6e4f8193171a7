/** The device's side of commands: a WebSocket session attached to an application, whose commands come to a handler. */
import { systemClock } from '../clock.js';
import { CommandDesk, type CommandHandler, type DeskOptions } from './command-desk.js';
import type { GridcastError } from './error.js';
import { parseTarget } from './target.js';
import { WsClient, type WsClientOptions } from './ws-client.js';

export interface Device {
  /** Resolves to the reason when the session has ended, from either side. */
  readonly closed: Promise<GridcastError>;
  /** The ledger stays open: it is its opener's to close. */
  close(): Promise<void>;
}

/** With a `ledger` a command has its effect once, even if the device dies over it; `recall` then says what became of it. */
export type DeviceOptions = WsClientOptions & Pick<DeskOptions, 'ledger' | 'recall'>;

/** @param uri of the application, `ws://127.0.0.1:8080/m2m/applications/pmu-1`. Throws as `open` does. */
export async function attachDevice(uri: string, handle: CommandHandler, options: DeviceOptions = {}): Promise<Device> {
  const target = parseTarget(uri);
  const { clock = systemClock, ledger, recall } = options;
  let attached: (client: Promise<WsClient>) => void = () => {};
  const client = new Promise<WsClient>((resolve) => (attached = resolve));
  const desk = new CommandDesk({
    handle,
    clock,
    say: async (word) => (await client).tell('outcome', { ...word }),
    ...(ledger && { ledger }),
    ...(recall && { recall }),
  });
  // What an earlier life did is known before the first command comes.
  await desk.open();
  attached(
    WsClient.open(target, {
      ...options,
      attach: [target.path],
      received: (kind, body) => {
        if (kind === 'command') desk.take(body);
      },
    }),
  );
  const { closed } = await client;
  return { closed, close: async () => (await client).close() };
}
