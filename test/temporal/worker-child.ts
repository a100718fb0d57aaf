import { once } from 'node:events';
import { loadConfig } from '../../infra/config.ts';
import { openProject } from '../../infra/project.ts';
import type { WorkerSteps } from '../../infra/temporal-activities.ts';
import { runWorker } from '../../infra/temporal-worker.ts';
import { messageOf } from '../../warehouse/core/errors.ts';
import { createLog } from '../../warehouse/core/log.ts';

/**
 * A worker as a process of its own, that may be told to die by SIGKILL around one step, to hold it until it is told to stop, or to have it done by
 * then. Arguments: project folder, workflow bundle, `before:step`, `after:step`, `hold:step` or `linger:step`.
 */

const [projectDir = '.', bundlePath = '', fate = ''] = process.argv.slice(2);
const [when, where] = fate.split(':');
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('still alive');
}

/** As long as a model that takes hours. */
async function hold(signal: AbortSignal): Promise<never> {
  process.stdout.write('holding\n');
  if (!signal.aborted) await once(signal, 'abort');
  process.stdout.write(`released: ${messageOf(signal.reason)}\n`);
  throw signal.reason;
}

function mortal(steps: WorkerSteps, signal: AbortSignal): WorkerSteps {
  const wrapped = Object.entries(steps as unknown as Record<string, (request: object) => Promise<unknown>>).map(
    ([name, step]) =>
      [
        name,
        async (request: object) => {
          if (name === where && when === 'before') die();
          if (name === where && when === 'hold') await hold(signal);
          const result = await step(request);
          if (name === where && when === 'linger') await hold(signal).catch(() => undefined);
          if (name === where && when === 'after') die();
          return result;
        },
      ] as const,
  );
  return Object.fromEntries(wrapped) as unknown as WorkerSteps;
}

const config = loadConfig(projectDir);
await runWorker(openProject(config, createLog({ level: config.logLevel })), {
  signal: stop.signal,
  bundlePath,
  wrap: mortal,
  onReady: () => void process.stdout.write('ready\n'),
});
