import { compileOnBronze } from '../../infra/compile-project.ts';
import { openProject } from '../../infra/project.ts';
import { assertDate, resolveAsOf } from '../../infra/run-project.ts';
import { type PlanStep, planBuild } from '../../warehouse/transform/index.ts';
import type { CommandHost } from '../context.ts';
import { formatCount, formatTable } from '../table.ts';
import { DROP_HISTORY, type RunOptions } from './run.ts';

export function registerPlan({ program, action }: CommandHost): void {
  program
    .command('plan')
    .summary('what a build would do, and why; changes nothing')
    .description(
      'Compiles the project, reports every error with its place, and shows which models a build would compute, why, and how many commits and rows they would take. `sluice build` with the same options does exactly this.',
    )
    .option('--as-of <date>', 'logical date, YYYY-MM-DD (default: that of the current release, else today in UTC)')
    .option(
      '--select <selector...>',
      'only these models: name, +name (with what it reads), name+ (with what reads it), tag:NAME',
    )
    .option('--full-refresh', 'as if every selected model were computed from bronze again')
    .option('--drop-history <snapshot...>', DROP_HISTORY)
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice plan\n  $ sluice plan --select gold.fct_transactions+\n  $ sluice plan --as-of 2026-06-30 --json',
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
          ...(options.fullRefresh && { fullRefresh: true }),
          ...(options.dropHistory && { dropHistory: new Set(options.dropHistory) }),
        });
        output.result({
          as_of: plan.asOf,
          base_release: previous?.number ?? 0,
          commits: bronze.commits,
          needed: plan.needed,
          to_run: plan.toRun,
          declarations_changed: plan.declarationsChanged,
          steps: plan.steps,
        });
        output.line(
          `Plan for as of ${plan.asOf}, on ${previous === undefined ? 'nothing yet' : `release ${previous.number}`}, bronze at ${formatCommits(bronze.commits)}`,
        );
        const shown = plan.steps.filter((step) => step.action !== 'unchanged');
        if (shown.length > 0) output.line(`\n${formatSteps(shown)}`);
        const unchanged = plan.steps.length - shown.length;
        if (plan.declarationsChanged)
          output.line('\nTests, owners, datasets or descriptions changed: everything is tested and published again.');
        const todo =
          plan.toRun > 0
            ? `${formatCount(plan.toRun)} to run`
            : plan.needed
              ? 'No model to run, a release to publish'
              : 'Nothing to do';
        output.line(
          `\n${todo}, ${formatCount(unchanged)} unchanged.${plan.needed ? ' sluice build carries it out.' : ''}`,
        );
        return undefined;
      }),
    );
}

function formatCommits(commits: Readonly<Record<string, number>>): string {
  return Object.entries(commits)
    .map(([source, number]) => `${source} commit ${number}`)
    .join(', ');
}

function formatSteps(steps: readonly PlanStep[]): string {
  const sum = (step: PlanStep, field: 'commits' | 'rows'): string => {
    const total = step.changes.reduce((count, change) => count + (change[field] ?? 0), 0);
    return total === 0 ? '' : formatCount(total);
  };
  return formatTable(steps, [
    { title: 'model', value: (step) => step.model },
    { title: 'as', value: (step) => step.materialized },
    { title: 'action', value: (step) => step.action },
    { title: 'commits', value: (step) => sum(step, 'commits'), align: 'right' },
    { title: 'bronze rows', value: (step) => sum(step, 'rows'), align: 'right' },
    { title: 'why', value: (step) => step.why },
  ]);
}
