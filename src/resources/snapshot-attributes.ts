/** What a group says of its snapshots: how many a second, how long its members are waited for, and as which C37.118 stream. */
import { attribute } from './attribute.js';
import * as v from './values.js';
import type { Json } from './values.js';

/** Milliseconds; beyond it nobody waits for a measurement that is one of many a second. */
const LONGEST_WAIT_MS = 2_000;
const LARGEST_ID = 65_534;
const SECONDS_PER_HOUR = 3600;

export const snapshotAttributes = [
  // Without it a group has no snapshots.
  attribute('snapshotRate', v.rate, 'O/O/O', { rule: rateRule, origin: 'gridcast' }),
  attribute('snapshotWait', v.long, 'O/O/O', { clamp: [0, LONGEST_WAIT_MS], origin: 'gridcast' }),
  attribute('snapshotWaitMode', v.oneOf('relative', 'absolute'), 'O/O/O', { origin: 'gridcast' }),
  attribute('idCode', v.long, 'O/O/O', { rule: idCodeRule, origin: 'gridcast' }),
];

function rateRule(value: Json): string | undefined {
  const rate = Number(value);
  const seconds = Math.round(1 / rate);
  const isFraction = rate < 1 && SECONDS_PER_HOUR % seconds === 0 && Math.abs(seconds * rate - 1) < 1e-3;
  if (Number.isInteger(rate) || isFraction) return undefined;
  return `group.snapshotRate is ${v.shown(value)}; it must be whole, or one in n seconds with n dividing 3600.`;
}

function idCodeRule(value: Json): string | undefined {
  if (Number(value) >= 1 && Number(value) <= LARGEST_ID) return undefined;
  return `group.idCode is ${v.shown(value)}; an IDCODE is 1 to ${LARGEST_ID}.`;
}
