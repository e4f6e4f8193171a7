/** What the tests of commands share: an application to command, its device, an issuer, and a store that can be looked into. */
import { attachDevice, open, type CommandHandler, type Device, type WsClient } from '../../src/client/index.js';
import type { JsonObject } from '../../src/routing/primitive.js';
import type { AuditEvent, Store } from '../../src/store/store.js';
import { RememberingStore } from '../support/remembering-store.js';
import { http, startBroker, until, whenStageCloses, type RunningBroker } from './stage.js';

export const FEEDER = '/m2m/applications/feeder';
export const COMMANDS = `${FEEDER}/containers/commands/contentInstances`;
export const OPEN = { commandId: 'open-1', point: 'breaker-1', value: 0 };

/** Remembers its audit trail as well, and what each write was for. */
export class AuditedStore extends RememberingStore {
  readonly audited: AuditEvent[] = [];
  /** Of synced writes: the events in each. */
  readonly syncs: string[][] = [];

  override write(writing: Parameters<Store['write']>[0], done: Parameters<Store['write']>[1]): void {
    const { audit = [], durability } = writing;
    if (durability === 'synced' && audit.some(({ event }) => event.startsWith('command-')))
      this.syncs.push(audit.map(({ event }) => event));
    super.write(writing, (refusal) => {
      if (!refusal) this.audited.push(...audit);
      done(refusal);
    });
  }

  /** Lets those that were held go. */
  release(): void {
    this.isHeld = false;
    for (const settle of this.waiting.splice(0)) settle();
  }

  /** `event by`, of one command. */
  trailOf(commandId: string): string[] {
    return this.audited
      .filter(({ details }) => details?.commandId === commandId)
      .map(({ event, originator }) => `${event} ${originator}`);
  }
}

export async function feeder(...options: Parameters<typeof startBroker>): Promise<RunningBroker> {
  const running = await startBroker(...options);
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'feeder' } });
  await http(running, 'POST', `${FEEDER}/containers`, { container: { id: 'commands' } });
  return running;
}

/** Ends a broker and starts the next on the same store, with what it had in memory lost. */
export async function restarted(
  running: RunningBroker,
  ...options: Parameters<typeof startBroker>
): Promise<RunningBroker> {
  await running.close();
  return startBroker(...options);
}

export const issue = (running: RunningBroker, command: JsonObject) => http(running, 'POST', COMMANDS, command);
export const stateOf = async (running: RunningBroker, location: string) =>
  (await http(running, 'GET', `${location}/content`)).json as {
    state: string;
    reason?: string;
    states: { state: string; reason?: string }[];
  };
export const becomes = (running: RunningBroker, location: string, state: string) =>
  until(`it is ${state}`, async () => {
    const now = await stateOf(running, location);
    return now.state === state ? now : undefined;
  });
export const historyOf = async (running: RunningBroker, location: string): Promise<string[]> =>
  (await stateOf(running, location)).states.map(({ state }) => state);

export async function device(running: RunningBroker, handle: CommandHandler): Promise<Device> {
  const attached = await attachDevice(`${running.ws.replace('/m2m', '')}${FEEDER}`, handle);
  whenStageCloses(() => attached.close());
  return attached;
}

/** A device that says only what it is told to say. */
export async function silentDevice(running: RunningBroker) {
  const heard: JsonObject[] = [];
  const { devices } = running.broker.sessions as unknown as { devices: Map<string, string[]> };
  const others = devices.get(FEEDER)?.length ?? 0;
  const client = (await open(running.ws, {
    originator: 'rtu-7',
    attach: [FEEDER],
    received: (_kind, body) => void heard.push(body),
  })) as WsClient;
  whenStageCloses(() => client.close());
  await until('it is attached', () => devices.get(FEEDER)?.length === others + 1);
  return {
    heard,
    /** `id action`, of what it was told. */
    orders: () => heard.map(({ commandId, action }) => `${String(commandId)} ${String(action)}`),
    leave: () => client.close(),
    close: async () => {
      await client.close();
      await until('it is gone', () => !running.broker.sessions.hasDevice(FEEDER));
    },
    say: (word: JsonObject) => client.tell('outcome', word),
  };
}

/** A session that issues commands, and remembers what it is told. */
export async function operator(running: RunningBroker, originator = 'scada-1') {
  const told: JsonObject[] = [];
  const client = (await open(running.ws, {
    originator,
    received: (kind, body) => kind === 'outcome' && told.push(body),
  })) as WsClient;
  whenStageCloses(() => client.close());
  return {
    client,
    told,
    states: (commandId: string) => told.filter((body) => body.commandId === commandId).map(({ state }) => state),
    issue: (body: JsonObject) => client.request({ op: 'create', to: COMMANDS, body }),
    close: () => client.close(),
  };
}
