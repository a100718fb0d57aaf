import { openProject } from '../../infra/project.ts';
import type { CommandHost } from '../context.ts';
import { toSnakeCase } from '../output.ts';

export function registerWorker({ program, action }: CommandHost): void {
  program
    .command('worker')
    .summary('do the steps of runs that a Temporal server orders')
    .description(
      'Serves the project on a Temporal server until Ctrl-C: runs from the schedule, the Web UI, run --temporal and backfill. Any number of workers may share the work; one that dies loses nothing, its steps are done again. Shuts down within 30 s and hands over what is unfinished.',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice worker\n  $ TEMPORAL_ADDRESS=temporal.example:7233 TEMPORAL_NAMESPACE=elt sluice worker',
    )
    .action(
      action(async ({ config, output, log, signal }) => {
        const { runWorker } = await import('../../infra/temporal-worker.ts');
        await runWorker(openProject(config, log), {
          signal,
          onReady: (ready) => {
            output.result(toSnakeCase(ready));
            output.line(`Worker ready: ${ready.address}, namespace ${ready.namespace}, task queue ${ready.queue}.`);
            output.line(
              `Start a run with sluice run --temporal, or in the Web UI ${config.temporalUi}: type elt, input {} (docs/operations.md).`,
            );
          },
        });
        return undefined;
      }),
    );
}
