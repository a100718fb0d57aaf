import { registerHooks } from 'node:module';

/** Writes the address of every module that the process loads to standard error, one a line. */
registerHooks({
  load: (url, context, next) => {
    process.stderr.write(`loaded ${url}\n`);
    return next(url, context);
  },
});
