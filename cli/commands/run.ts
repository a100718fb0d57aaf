import type { Config } from '../../infra/config.ts';
import { assertDate } from '../../infra/run-project.ts';
import type { EltResult } from '../../workflows/contract.ts';
import type { CommandHost } from '../context.ts';
import { type Output, toSnakeCase } from '../output.ts';
import { runHere } from '../run-here.ts';
import { printRun } from '../run-report.ts';

export interface RunOptions {
  readonly asOf?: string;
  readonly select?: readonly string[];
  readonly exclude?: readonly string[];
  readonly source?: readonly string[];
  readonly fullRefresh?: boolean;
  readonly fullTests?: boolean;
  readonly dropHistory?: readonly string[];
}

interface TemporalRunOptions extends RunOptions {
  readonly temporal?: boolean;
  readonly wait: boolean;
}

export const DROP_HISTORY =
  "let the history of these snapshots go, and read it again from bronze's log as far as that goes back";

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
    .option('--full-refresh', 'compute every model from bronze again; the history of snapshots stays')
    .option('--full-tests', 'test every table whole, not only the rows that changed, and also when nothing did')
    .option('--drop-history <snapshot...>', DROP_HISTORY)
    .option('--temporal', 'let a worker on the Temporal server do it (sluice worker)')
    .option('--no-wait', 'with --temporal: start it and return')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice run\n  $ sluice run --as-of 2026-06-30\n  $ sluice run --full-refresh --json\n  $ sluice run --temporal',
    )
    .action(
      action<TemporalRunOptions>(async (context, options) => {
        if (options.temporal === true) return runOnTemporal(context.config, context.output, context.signal, options);
        return runHere(context, { ...options, steps: 'all' }, printRun);
      }),
    );
}

async function runOnTemporal(
  config: Config,
  output: Output,
  signal: AbortSignal,
  options: TemporalRunOptions,
): Promise<undefined> {
  if (options.asOf !== undefined) assertDate(options.asOf);
  const { connectTemporal } = await import('../../infra/temporal-connection.ts');
  const { startElt, waitForRun } = await import('../../infra/temporal-runs.ts');
  const temporal = await connectTemporal(config);
  try {
    const run = await startElt(temporal, {
      ...(options.asOf !== undefined && { asOf: options.asOf }),
      ...(options.fullRefresh === true && { fullRefresh: true }),
      ...(options.fullTests === true && { fullTests: true }),
      ...(options.dropHistory && { dropHistory: options.dropHistory }),
    });
    output.note(`${run.workflowId} started: ${run.link}`);
    if (!options.wait) {
      output.result(toSnakeCase(run));
      return undefined;
    }
    let shown = '';
    const result = await waitForRun<EltResult>(temporal, run, {
      signal,
      onProgress: ({ step, paused }) => {
        const line = paused ? `paused before: ${step}` : step;
        if (line !== shown) output.note(`· ${line}`);
        shown = line;
      },
    });
    output.result(toSnakeCase({ ...run, ...result }));
    printRun(output, result);
  } finally {
    await temporal.close();
  }
  return undefined;
}
