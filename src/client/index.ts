/** The SDK: what `import ... from 'gridcast'` gives. */
export { open, type OpenOptions } from './open.js';
export type {
  Client,
  ClientOptions,
  ClientRequest,
  ClientResponse,
  Notification,
  ObserveTerms,
  RequestBody,
  RouteChange,
  TlsFiles,
} from './client.js';
export { GridcastError, type FailureKind } from './error.js';
export { HttpClient } from './http-client.js';
export { CoapClient, type CoapClientOptions } from './coap-client.js';
export { WsClient } from './ws-client.js';
export type {
  ConnectionListener,
  ConnectionState,
  ReliableKind,
  ReliableListener,
  WsClientOptions,
} from './ws-options.js';
export { command, isOutcome, type CommandNews, type CommandRequest } from './command.js';
export { actOnAlarm, listAlarms, watchAlarms, type Alarm, type AlarmNews, type WatchOptions } from './alarms.js';
export { attachDevice, type Device, type DeviceOptions } from './device.js';
export type { CommandHandler, DeviceCommand, Recall, Verdict } from './command-desk.js';
export type { TimeLeft } from './time-left.js';
export { JournalLedger, ledgerIn, type Ledger, type LedgerEntry, type LedgerOptions } from './ledger.js';
export { frequencyOf, measuredUsOf, readSample, type Reading } from './reading.js';
export { parseTarget, type Target } from './target.js';
