import { after } from 'node:test';
import type { EltActivities } from '../../activities/contract.ts';
import { toRunError } from '../../infra/temporal-runs.ts';
import { TASK_QUEUE } from '../../temporal.config.ts';
import type { EltResult } from '../../workflows/contract.ts';
import { testConformance } from '../workflows/conformance.ts';
import { startScripted } from './support.ts';

const { server, temporal, use, close } = await startScripted();
after(close);

let runs = 0;

testConformance('Temporal', async (activities, input, { signal }) => {
  let cancelling: Promise<unknown> | undefined;
  // A step ends only when the server knows of the cancellation that it set off: which of the two comes first is not left to chance.
  const wrapped = Object.fromEntries(
    Object.entries(activities as unknown as Record<string, (request: object) => Promise<unknown>>).map(
      ([name, step]) => [
        name,
        async (request: object) => {
          try {
            return await step(request);
          } finally {
            await cancelling;
          }
        },
      ],
    ),
  ) as unknown as EltActivities;
  use(wrapped);
  runs += 1;
  const handle = await temporal.client.workflow.start('elt', {
    taskQueue: TASK_QUEUE,
    workflowId: `conformance-${runs}`,
    args: [input],
    // A run that is cancelled before it begins must not have begun.
    ...(signal.aborted && { startDelay: 300 }),
  });
  const cancel = (): void => {
    cancelling = handle.cancel();
  };
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel, { once: true });
  await cancelling;
  try {
    return (await handle.result()) as EltResult;
  } catch (error) {
    throw toRunError(error, server.address);
  }
});
