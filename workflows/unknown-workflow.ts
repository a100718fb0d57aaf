import { workflowInfo } from '@temporalio/workflow';
import { createFailure } from './failures.ts';

/** Runs for every type that is no workflow of ours: otherwise the task would be tried for ever, and the run look as if it worked. */
export async function unknownWorkflow(): Promise<never> {
  throw createFailure(
    'USAGE',
    `There is no workflow ${JSON.stringify(workflowInfo().workflowType)}.`,
    'The types are elt and backfill.',
  );
}
