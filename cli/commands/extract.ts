import type { CommandHost } from '../context.ts';
import { runHere } from '../run-here.ts';
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
      action<RunOptions>(async (context, options) => {
        return runHere(context, { ...options, steps: 'extract' }, (output, { extract }) => {
          if (extract !== undefined) printExtract(output, extract);
        });
      }),
    );
}
