import { startEmbeddedPostgres } from '../../../infra/postgres/index.ts';
import { isSluiceError, messageOf } from '../../../warehouse/core/errors.ts';
import { createLog } from '../../../warehouse/core/log.ts';

/** A process that owns a cluster: node owner.ts DIR hold|return. Says in one line of JSON how its start went. */
const [dir = '', manner = 'hold'] = process.argv.slice(2);

try {
  const { url, pid, port, started } = await startEmbeddedPostgres({
    dir,
    durable: false,
    log: createLog({ level: 'silent' }),
  });
  process.stdout.write(`${JSON.stringify({ url, pid, port, started })}\n`);
  // `return` leaves without stop(), as a forgetful program does.
  if (manner === 'hold') process.stdin.resume();
} catch (error) {
  const code = isSluiceError(error) ? error.code : 'INTERNAL';
  process.stdout.write(`${JSON.stringify({ code, message: messageOf(error) })}\n`);
  process.exitCode = 1;
}
