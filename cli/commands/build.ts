import type { CommandHost } from '../context.ts';
import { runHere } from '../run-here.ts';
import { printRun } from '../run-report.ts';
import { DROP_HISTORY, type RunOptions } from './run.ts';

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
    .option('--drop-history <snapshot...>', DROP_HISTORY)
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice build\n  $ sluice build --select +gold.fct_monthly_trends\n  $ sluice build --full-refresh',
    )
    .action(
      action<RunOptions>(async (context, options) => {
        return runHere(context, { ...options, steps: 'build' }, printRun);
      }),
    );
}
