/** Logging: JSON lines on standard error, readable ones on a terminal. The one import site of pino. */
import { pino, type Logger } from 'pino';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

/** Words that must never reach a log, wherever they stand in what is logged. */
const SECRETS = ['token', '*.token', 'authorization', '*.authorization', 'password', '*.password'];

export function openLog(level: string, isTerminal: boolean): Log {
  const options = { level, redact: SECRETS, base: null };
  if (!isTerminal) return pino({ ...options, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2));
  return pino({
    ...options,
    transport: { target: 'pino-pretty', options: { destination: 2, ignore: 'pid,hostname' } },
  });
}

/** For tests and for parts that are used as a library. */
export const silentLog: Log = pino({ level: 'silent' });
