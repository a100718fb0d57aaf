import { compileOnBronze } from '../../infra/compile-project.ts';
import { readKeptPlan } from '../../infra/kept-plans.ts';
import { openProject } from '../../infra/project.ts';
import type { RunRequest } from '../../infra/run-project.ts';
import { SluiceError } from '../../warehouse/core/errors.ts';
import { comparePlanFacts, planBuild } from '../../warehouse/transform/index.ts';
import type { CommandContext, CommandHost } from '../context.ts';
import { runHere } from '../run-here.ts';
import { printRun } from '../run-report.ts';
import { addSelectionOptions } from '../selection-options.ts';
import { DROP_HISTORY, type RunOptions } from './run.ts';

interface BuildOptions extends RunOptions {
  readonly plan?: string;
  readonly private?: string;
}

export function registerBuild({ program, action }: CommandHost): void {
  const command = program
    .command('build')
    .summary('build, test and publish from the bronze there is')
    .description(
      'Builds silver and gold from bronze as it stands, tests, and publishes a release. Executes exactly what `sluice plan` shows; does not talk to Postgres.',
    )
    .option('--as-of <date>', 'logical date, YYYY-MM-DD (default: that of the current release, else today in UTC)');
  addSelectionOptions(command)
    .option('--full-refresh', 'compute the selected models from bronze again')
    .option(
      '--private <name>',
      'keep the result under this name where no reader sees it, to look at with diff and query and to publish with promote; without --select: what changed and what reads it',
    )
    .option('--plan <id>', 'do what this plan said or nothing: its id, or a file of `sluice plan --json`')
    .option('--full-tests', 'test every table whole, not only the rows that changed, and also when nothing did')
    .option('--drop-history <snapshot...>', DROP_HISTORY)
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice build\n  $ sluice build --select +gold.fct_monthly_trends --exclude tag:slow\n  $ sluice build --plan plan.json\n  $ sluice build --private new-totals && sluice diff --private new-totals && sluice promote new-totals\n  $ sluice build --full-refresh',
    )
    .action(
      action<BuildOptions>(async (context, options) => {
        const { plan: named, private: privateName, ...own } = options;
        const request = named === undefined ? own : await requestOfPlan(context, named, options);
        if (privateName === undefined) return runHere(context, { ...request, steps: 'build' }, printRun);
        // Nothing but the change: with new rows of bronze in other models too, a diff would not show what the change does.
        const select = request.select ?? (named === undefined && own.exclude === undefined ? ['changed+'] : undefined);
        return runHere(context, { ...request, ...(select && { select }), privateName, steps: 'build' }, printRun);
      }),
    );
}

/** The request that a kept plan stands for. Errors: PLAN_NOT_FOUND, PLAN_STALE with everything that is no longer as planned, USAGE. */
async function requestOfPlan(
  { config, log }: CommandContext,
  named: string,
  options: BuildOptions,
): Promise<Omit<RunRequest, 'steps'>> {
  if (options.select ?? options.exclude ?? options.asOf ?? options.fullRefresh) {
    throw new SluiceError('USAGE', 'build: --plan brings its own selection, date and full refresh.', {
      remedy: 'Leave out --select, --exclude, --as-of and --full-refresh, or make a new plan with them.',
    });
  }
  const kept = await readKeptPlan(config, named);
  const { as_of: asOf, select, exclude, full_refresh: fullRefresh } = kept.options;
  const request = { asOf, ...(select && { select }), ...(exclude && { exclude }), ...(fullRefresh && { fullRefresh }) };
  const project = openProject(config, log);
  const { compiled, bronze } = await compileOnBronze(project);
  const now = planBuild({ project: compiled, previous: await project.releases.current(), bronze, ...request });
  if (now.id === kept.plan_id) return { ...request, planId: kept.plan_id };
  const differences = comparePlanFacts(kept.inputs, now.facts);
  throw new SluiceError(
    'PLAN_STALE',
    `The plan ${kept.plan_id} no longer holds: ${differences.slice(0, 10).join('; ')}${differences.length > 10 ? `; and ${differences.length - 10} more` : ''}.`,
    { remedy: 'Nothing was built. sluice plan shows what a build would do now.', details: { differences } },
  );
}
