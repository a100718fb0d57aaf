import { compileOnBronze } from '../../infra/compile-project.ts';
import { keepPlan, toKeptPlan } from '../../infra/kept-plans.ts';
import { openProject } from '../../infra/project.ts';
import { assertDate, resolveAsOf } from '../../infra/run-project.ts';
import { planBuild } from '../../warehouse/transform/index.ts';
import type { CommandHost } from '../context.ts';
import { toSnakeCase } from '../output.ts';
import { printPlan } from '../plan-report.ts';
import { addSelectionOptions } from '../selection-options.ts';
import { DROP_HISTORY, type RunOptions } from './run.ts';

export function registerPlan({ program, action }: CommandHost): void {
  const command = program
    .command('plan')
    .summary('what a build would do, and why; changes nothing')
    .description(
      'Compiles the project, reports every error with its place, and shows which models changed, column by column, for whom that breaks, what it reaches and what not, and what a build would compute, why, and from how many commits and rows. `sluice build --plan ID` does exactly this or refuses.',
    )
    .option('--as-of <date>', 'logical date, YYYY-MM-DD (default: that of the current release, else today in UTC)');
  addSelectionOptions(command)
    .option('--full-refresh', 'as if every selected model were computed from bronze again')
    .option('--drop-history <snapshot...>', DROP_HISTORY)
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice plan\n  $ sluice plan --select changed+ --exclude tag:slow\n  $ sluice plan --as-of 2026-06-30 --json > plan.json && sluice build --plan plan.json',
    )
    .action(
      action<RunOptions>(async ({ config, output, log }, options) => {
        const project = openProject(config, log);
        if (options.asOf !== undefined) assertDate(options.asOf);
        const { compiled, bronze } = await compileOnBronze(project);
        const previous = await project.releases.current();
        const plan = planBuild({
          project: compiled,
          previous,
          bronze,
          asOf: options.asOf ?? (await resolveAsOf(project, undefined)),
          ...(options.select && { select: options.select }),
          ...(options.exclude && { exclude: options.exclude }),
          ...(options.fullRefresh && { fullRefresh: true }),
          ...(options.dropHistory && { dropHistory: new Set(options.dropHistory) }),
        });
        const kept = toKeptPlan(plan, options);
        if (plan.needed) await keepPlan(config, kept);
        output.result({
          ...kept,
          as_of: plan.asOf,
          base_release: previous?.number ?? 0,
          commits: bronze.commits,
          needed: plan.needed,
          to_run: plan.toRun,
          declarations_changed: plan.declarationsChanged,
          breaking: plan.steps.filter((step) => step.breaking).map((step) => step.model),
          not_affected: plan.spared,
          steps: toSnakeCase(plan.steps),
        });
        printPlan(output, plan, previous?.number);
        return undefined;
      }),
    );
}
