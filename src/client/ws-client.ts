/**
 * The WebSocket client: requests, several subscriptions and the reliable lane on one socket.
 *
 *     hello ──> welcome
 *     req id ──> res id        sub id ──> res id, ntf sub=id, ntf ...        unsub sub=id ──> res
 *     msg seq <──> ack seq     both ways: each is acknowledged, and one that comes twice is heard once
 */
import WebSocket from 'ws';
import { parseTime, systemClock, type Cancel, type Clock } from '../clock.js';
import { isRefusal, STATUSES, type Status } from '../errors.js';
import {
  decodeFrame,
  encodeFrame,
  type BrokerFrame,
  type ClientFrame,
  type Subprotocol,
} from '../protocols/ws/frames.js';
import type { JsonObject } from '../routing/primitive.js';
import type { ReliableKind } from '../routing/primitive.js';
import {
  bytesOf,
  DEFAULT_TIMEOUT_MS,
  type Client,
  type ClientOptions,
  type ClientRequest,
  type ClientResponse,
  type Notification,
  type ObserveTerms,
} from './client.js';
import { deadline } from './deadline.js';
import { GridcastError, reasonOf } from './error.js';
import { iterate, type Inbox } from './inbox.js';
import { refusalOf } from './refusal.js';
import { authority, pathAndQuery, resolve, type Target } from './target.js';

export interface WsClientOptions extends ClientOptions {
  /** `gridcast.v1` is protobuf, the default; `gridcast.v1+json` is for reading along. */
  readonly subprotocol?: Subprotocol;
  /** Paths of the applications whose device this session is. */
  readonly attach?: readonly string[];
  /** Hears the reliable lane: the commands of a device, outcomes, alarms. What it has heard is acknowledged. */
  readonly received?: (kind: ReliableKind, body: JsonObject) => void;
}

const WS_PATH = '/m2m';
/** The broker pings an idle socket well within this; a silent one is dead, whatever TCP says. */
const SILENCE_MS = 90_000;
const GOING_AWAY = 1001;
const NORMAL = 1000;
/** For the other side to answer a close. */
const CLOSE_PATIENCE_MS = 1_000;
