/** What is created in an alarms container: a report that something is wrong or well again, or an operator's act on an alarm. */
import { isRefusal, refuse } from '../errors.js';
import { isAlarmAction, readAlarmAction, readAlarmReport } from '../routing/alarm.js';
import type { Ask } from '../routing/dispatcher.js';
import { answer, refused, type Body, type JsonObject } from '../routing/primitive.js';
import { alarmIdOf } from '../routing/alarm.js';
import type { Alarms } from './alarms.js';
import { contentDocument } from './content-document.js';
import type { Node } from './resources.js';

/** Room for the longest text and comment. */
const LARGEST_ALARM_BYTES = 4096;
const RETRY_AFTER_S = 1;

/** Takes a CREATE over; its answer comes when what it did is on disk. */
export function acceptAlarm(alarms: Alarms, ask: Ask, contentInstances: Node, body: Body): void {
  if (body.bytes.length > LARGEST_ALARM_BYTES)
    return ask.reply(refused(refuse('STATUS_TOO_LARGE', `An alarm has at most ${LARGEST_ALARM_BYTES} bytes.`)));
  const document = contentDocument(body, 'An alarm');
  if (isRefusal(document)) ask.reply(refused(document));
  else if (isAlarmAction(document)) act(alarms, ask, contentInstances, document);
  else report(alarms, ask, contentInstances, document);
}

function report(alarms: Alarms, ask: Ask, contentInstances: Node, document: JsonObject): void {
  const source = applicationOf(contentInstances);
  const read = readAlarmReport(document);
  if (isRefusal(read)) return ask.reply(refused(read));
  if (source === alarms.places.own) {
    const detail = 'An alarm is reported in the alarms container of the application it is about; here it is acted on.';
    return ask.reply(refused(refuse('STATUS_BAD_REQUEST', detail)));
  }
  const alarmId = alarmIdOf(source, read.condition);
  alarms.report(source, read, (refusal) => {
    const told = alarms.places.all.get(alarmId)?.told;
    if (refusal) ask.reply(refused(refusal, { retryAfterS: RETRY_AFTER_S }));
    else if (!told) ask.reply(answer('STATUS_OK'));
    else {
      const status = read.state === 'active' ? 'STATUS_CREATED' : 'STATUS_OK';
      const location = [...contentInstances.path, alarmId];
      ask.reply(answer(status, { location, content: { kind: 'document', document: told } }));
    }
  });
}

function act(alarms: Alarms, ask: Ask, contentInstances: Node, document: JsonObject): void {
  const action = readAlarmAction(document);
  if (isRefusal(action)) return ask.reply(refused(action));
  const { alarmId } = action;
  const record = alarms.places.ofApplication(applicationOf(contentInstances)).get(alarmId);
  if (!record) {
    const detail = `There is no alarm ${JSON.stringify(alarmId)} in ${contentInstances.reference}.`;
    return ask.reply(refused(refuse('STATUS_NOT_FOUND', detail)));
  }
  alarms.act(record, action, ask.request.originator, (refusal) => {
    if (refusal)
      ask.reply(refused(refusal, refusal.status === 'STATUS_CONFLICT' ? {} : { retryAfterS: RETRY_AFTER_S }));
    else ask.reply(answer('STATUS_OK', { content: { kind: 'document', document: record.document } }));
  });
}

const applicationOf = (contentInstances: Node): string => contentInstances.parent?.parent?.parent?.reference ?? '';
