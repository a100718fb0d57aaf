import { openProject } from '../../infra/project.ts';
import { runProject } from '../../infra/run-project.ts';
import type { CommandHost } from '../context.ts';
import { toSnakeCase } from '../output.ts';
import { createProgressView } from '../progress.ts';
import { printExtract } from '../run-report.ts';
import type { RunOptions } from './run.ts';

export function registerExtract({ program, action }: CommandHost): void {
  program
    .command('extract')
    .summary('carry what changed in Postgres to bronze, and stop there')
    .description(
      'Reads every table of the sources at one Postgres snapshot and commits what changed to bronze. Gold stays as it is until the next build.',
    )
    .option('--source <name...>', 'only these sources')
    .addHelpText('after', '\nExamples:\n  $ sluice extract\n  $ sluice extract --source app --json')
    .action(
      action<RunOptions>(async ({ config, output, log, signal }, options) => {
        const view = createProgressView(output);
        try {
          const result = await runProject(
            openProject(config, log),
            { ...options, steps: 'extract' },
            { onProgress: view.onProgress, signal },
          );
          view.done();
          output.result(toSnakeCase(result));
          if (result.extract !== undefined) printExtract(output, result.extract);
        } finally {
          view.done();
        }
        return undefined;
      }),
    );
}
