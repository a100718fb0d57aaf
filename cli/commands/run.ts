import { openProject } from '../../infra/project.ts';
import { runProject } from '../../infra/run-project.ts';
import type { CommandHost } from '../context.ts';
import { toSnakeCase } from '../output.ts';
import { createProgressView } from '../progress.ts';
import { printRun } from '../run-report.ts';

export interface RunOptions {
  readonly asOf?: string;
  readonly select?: readonly string[];
  readonly source?: readonly string[];
  readonly fullRefresh?: boolean;
}

export function registerRun({ program, action }: CommandHost): void {
  program
    .command('run')
    .summary('extract what changed, build, test, publish')
    .description(
      'Runs the whole pipeline: extract → bronze → silver → tests → gold → tests → publish. Only what changed is carried and computed; a failed test leaves the last release as it is.',
    )
    .option(
      '--as-of <date>',
      'logical date of the run, YYYY-MM-DD (default: today in UTC, or the last day of the demo data)',
    )
    .option('--full-refresh', 'compute every model from bronze again')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice run\n  $ sluice run --as-of 2026-06-30\n  $ sluice run --full-refresh --json',
    )
    .action(
      action<RunOptions>(async ({ config, output, log, signal }, options) => {
        const view = createProgressView(output);
        try {
          const result = await runProject(
            openProject(config, log),
            { ...options, steps: 'all' },
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
