/** How much to log, from nothing to everything. A file of its own: the command line shows it before anything else is loaded. */
export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug', 'trace'] as const;
