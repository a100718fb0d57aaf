import { openProject } from '../../infra/project.ts';
import { runProject } from '../../infra/run-project.ts';
import type { CommandHost } from '../context.ts';
import { toSnakeCase } from '../output.ts';
import { createProgressView } from '../progress.ts';
import { printRun } from '../run-report.ts';
import type { RunOptions } from './run.ts';

export function registerBuild({ program, action }: CommandHost): void {
  program
    .command('build')
    .summary('build, test and publish from the bronze there is')
    .description(
      'Builds silver and gold from bronze as it stands, tests, and publishes a release. Executes exactly what `sluice plan` shows; does not talk to Postgres.',
    )
    .option('--as-of <date>', 'logical date, YYYY-MM-DD (default: that of the current release, else today in UTC)')
    .option(
      '--select <selector...>',
      'only these models: name, +name (with what it reads), name+ (with what reads it), tag:NAME',
    )
    .option('--full-refresh', 'compute the selected models from bronze again')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice build\n  $ sluice build --select +gold.fct_monthly_trends\n  $ sluice build --full-refresh',
    )
    .action(
      action<RunOptions>(async ({ config, output, log, signal }, options) => {
        const view = createProgressView(output);
        try {
          const result = await runProject(
            openProject(config, log),
            { ...options, steps: 'build' },
            { onProgress: view.onProgress, signal },
          );
          view.done();
          output.result(toSnakeCase(result));
          printRun(output, result);
        } finally {
          view.done();
        }
        return undefined;
      }),
    );
}
