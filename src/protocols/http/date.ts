/** HTTP's dates: whole seconds of Greenwich, in the one form that is written and the three that are read [RFC9110-5.6.7]. */

const FORMS = [
  /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/,
  // RFC 850
  /^[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT$/,
  // asctime, which names no zone
  /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$/,
];

/** Microseconds since the epoch; undefined for what is no date: a condition on one is as if it were not there [RFC9110-13.1.3]. */
export function parseHttpDate(text: string | undefined): number | undefined {
  if (text === undefined || !FORMS.some((form) => form.test(text))) return undefined;
  const ms = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(ms) ? undefined : ms * 1000;
}

/** The second in which an instant lies: a date is never later than what it tells of. */
export const httpDate = (us: number): string => new Date(Math.floor(us / 1000)).toUTCString();
