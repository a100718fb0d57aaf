import type { ColumnChange, Plan, PlanStep } from '../warehouse/transform/index.ts';
import { bold, dim, type Output } from './output.ts';
import { formatCount, formatCounted, formatTable } from './table.ts';

/** A plan for people: what changed and for whom it breaks, what it reaches, what will run, and what is left out. */
export function printPlan(output: Output, plan: Plan, base: number | undefined): void {
  output.line(
    `Plan ${plan.id} for as of ${plan.asOf}, on ${base === undefined ? 'nothing yet' : `release ${base}`}, bronze at ${formatCommits(plan)}`,
  );
  if (base !== undefined) printChanges(output, plan);
  const shown = plan.steps.filter((step) => step.action !== 'unchanged');
  if (shown.length > 0) output.line(`\n${formatSteps(shown)}`);
  if (plan.declarationsChanged)
    output.line('\nTests, owners, datasets or descriptions changed: everything is tested and published again.');
  const unchanged = plan.steps.length - shown.length;
  const todo =
    plan.toRun > 0
      ? `${formatCount(plan.toRun)} to run`
      : plan.needed
        ? 'No model to run, a release to publish'
        : 'Nothing to do';
  output.line(
    `\n${todo}, ${formatCount(unchanged)} unchanged.${plan.needed ? ` sluice build --plan ${plan.id} does exactly this.` : ''}`,
  );
}

const MARKS = { added: '+', changed: '~', affected: '·', removed: '-', none: ' ' } as const;

function printChanges(output: Output, plan: Plan): void {
  const touched = plan.steps.filter(({ impact }) => impact !== 'none');
  if (touched.length === 0) return;
  output.line('');
  for (const step of touched) {
    const facts = [
      step.impact,
      ...(step.breaking ? ['BREAKING'] : step.impact === 'changed' ? ['not breaking'] : []),
      ...(step.otherRows && step.impact !== 'added' ? ['other rows may come out'] : []),
      ...(step.through.length > 0 ? [`through ${step.through.join(', ')}`] : []),
    ];
    output.line(`${MARKS[step.impact]} ${bold(step.model)}  ${dim(facts.join(' · '))}`);
    for (const change of step.columns) output.line(`    ${describeColumn(change)}`);
  }
  if (plan.spared.length > 0)
    output.line(`  not affected, for they read none of the changed columns: ${plan.spared.join(', ')}`);
}

function describeColumn({ kind, column, from, to, breaking, readers }: ColumnChange): string {
  const read = readers.length === 0 ? '' : `, read by ${readers.join(', ')}`;
  const mark = breaking ? ' BREAKING' : '';
  switch (kind) {
    case 'added':
      return `+ ${column} ${to ?? ''}`;
    case 'removed':
      return `- ${column} ${from ?? ''}${mark}${read}`;
    case 'renamed':
      return `~ ${column} is now ${to ?? ''}${mark}${read}`;
    case 'retyped':
      return `~ ${column} ${from ?? ''} → ${to ?? ''}${mark}${read}`;
    case 'values':
      return `~ ${column}: values change${read}`;
    default:
      return kind satisfies never;
  }
}

function formatCommits({ facts }: Plan): string {
  const sources = new Map<string, number>();
  for (const [table, commit] of Object.entries(facts.commits)) {
    const source = table.slice(0, table.indexOf('.'));
    sources.set(source, Math.max(commit, sources.get(source) ?? 0));
  }
  return [...sources].map(([source, number]) => `${source} commit ${number}`).join(', ');
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
    {
      title: 'about',
      value: (step) => (step.estimatedRows === undefined ? '' : formatCounted(step.estimatedRows, 'row')),
      align: 'right',
    },
    { title: 'why', value: (step) => step.why },
  ]);
}
