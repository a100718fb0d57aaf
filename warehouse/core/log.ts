import pino from 'pino';

/** The structured logger handed to every stage; pino's own shape, so that any pino instance fits. */
export type Log = pino.Logger;

export interface LogOptions {
  readonly level: 'silent' | 'error' | 'warn' | 'info' | 'debug' | 'trace';
  /** File descriptor to write to; 2 keeps standard output for results. */
  readonly destination?: number;
}

/** JSON lines on standard error, synchronous so that a crash loses none. */
export function createLog(options: LogOptions): Log {
  return pino(
    { level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: options.destination ?? 2, sync: true }),
  );
}
