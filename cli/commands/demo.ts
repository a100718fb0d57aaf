import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { z } from 'zod';
import { demoState, type EvolvedDay, type EvolvedDemo, evolveDemo, loadDemo } from '../../demo/index.ts';
import { startEmbeddedPostgres } from '../../infra/postgres/index.ts';
import { openProject, withSource } from '../../infra/project.ts';
import { runProject } from '../../infra/run-project.ts';
import { SluiceError } from '../../warehouse/core/errors.ts';
import type { EltResult } from '../../workflows/contract.ts';
import type { CommandContext, CommandHost } from '../context.ts';
import { showUserTrends } from '../demo-answer.ts';
import { toSnakeCase } from '../output.ts';
import { createProgressView, type ProgressView } from '../progress.ts';
import { printRun } from '../run-report.ts';
import { formatCount, formatCounted, formatDuration, formatTable } from '../table.ts';

const loadSchema = z.object({
  scale: z.coerce.number().positive().max(1000),
  seed: z.coerce.number().int().min(0),
  reset: z.boolean().optional(),
});
const evolveSchema = z.object({ days: z.coerce.number().int().min(1).max(366) });

export function registerDemo({ program, action }: CommandHost): void {
  const demo = program
    .command('demo')
    .summary('a Postgres with data, the whole pipeline, one user’s figures')
    .description(
      'Starts a real Postgres of the project’s own, loads the demo data once, runs the pipeline with the lake in a folder, and shows what one user of one org would see. Run again, it takes only what changed.',
    )
    .option('--scale <factor>', 'how much data: 1 is about 20,000 rows, 100 about 2 million', '1')
    .option('--seed <number>', 'the same seed gives the same data', '1')
    .option('--reset', 'throw the demo’s Postgres data, lake and releases away first')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice demo\n  $ sluice demo --scale 10 --reset\n  $ sluice demo evolve --days 5',
    )
    .action(
      action(async (context, options) => {
        const parsed = parse(loadSchema, options);
        const started = performance.now();
        const view = createProgressView(context.output);
        try {
          if (parsed.reset === true) await resetDemo(context);
          await withSource(
            context.config,
            context.log,
            async (url) => {
              const loaded = await loadOnce(url, parsed, view);
              await finishDemo(context, url, view, started, { loaded });
            },
            view.onProgress,
          );
        } finally {
          view.done();
        }
        return undefined;
      }),
    );

  // Commander gives `demo` every option that it knows, also behind `evolve`.
  demo.hook('preSubcommand', () => {
    const foreign = ['scale', 'seed', 'reset'].find((name) => demo.getOptionValueSource(name) === 'cli');
    if (foreign !== undefined) demo.error(`error: demo evolve takes no --${foreign}: it plays on what was loaded`);
  });

  demo
    .command('evolve')
    .summary('plays further days of life in the demo’s Postgres, then runs the pipeline')
    .description(
      'Plays days as an application would: new rows, corrections, deletions, rows that arrive late, pending rows that are booked. Then runs the pipeline and shows what was carried.',
    )
    .option('--days <count>', 'how many days', '5')
    .addHelpText('after', '\nExamples:\n  $ sluice demo evolve\n  $ sluice demo evolve --days 30')
    .action(
      action(async (context, options) => {
        const { days } = parse(evolveSchema, options);
        const started = performance.now();
        const view = createProgressView(context.output);
        try {
          await withSource(
            context.config,
            context.log,
            async (url) => {
              const evolved = await evolve(url, days, view);
              view.done();
              context.output.heading(`${formatCounted(evolved.days.length, 'more day')} of life, to ${evolved.asOf}`);
              context.output.line(formatDays(evolved.days));
              await finishDemo(context, url, view, started, { evolved });
            },
            view.onProgress,
          );
        } finally {
          view.done();
        }
        return undefined;
      }),
    );
}

async function evolve(url: string, days: number, view: ProgressView): Promise<EvolvedDemo> {
  if ((await demoState(url)) === undefined)
    throw new SluiceError('USAGE', 'There is no demo data to play on.', { remedy: 'Run sluice demo first.' });
  return evolveDemo({ url, days, onProgress: view.onProgress });
}

function formatDays(days: readonly EvolvedDay[]): string {
  return formatTable(days, [
    { title: 'day', value: (day) => day.date },
    { title: 'new', value: (day) => formatCount(day.inserted), align: 'right' },
    { title: 'corrected', value: (day) => formatCount(day.updated), align: 'right' },
    { title: 'deleted', value: (day) => formatCount(day.deleted), align: 'right' },
    { title: 'late', value: (day) => formatCount(day.late), align: 'right' },
  ]);
}

function parse<T>(schema: z.ZodType<T>, options: unknown): T {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new SluiceError('USAGE', `demo: --${String(issue?.path[0])}: ${issue?.message ?? 'is wrong'}.`, {
    remedy: 'sluice demo --help shows the options.',
  });
}

/** Loads the data unless it is there; data of another size is not replaced unasked, since the lake was made from it. */
async function loadOnce(url: string, wanted: { scale: number; seed: number }, view: ProgressView) {
  const state = await demoState(url);
  if (state === undefined) {
    const loaded = await loadDemo({ url, scale: wanted.scale, seed: wanted.seed, onProgress: view.onProgress });
    return { ...loaded, isNew: true };
  }
  if (state.scale !== wanted.scale || state.seed !== wanted.seed) {
    throw new SluiceError(
      'USAGE',
      `The demo data has scale ${state.scale} and seed ${state.seed}, not scale ${wanted.scale} and seed ${wanted.seed}.`,
      {
        remedy: `Add --reset to start again, or run sluice demo --scale ${state.scale} --seed ${state.seed}.`,
      },
    );
  }
  return { ...state, isNew: false };
}

async function resetDemo({ config, log }: CommandContext): Promise<void> {
  if (config.sourceUrl !== 'embedded') {
    throw new SluiceError(
      'USAGE',
      'demo --reset removes the project’s own Postgres only, and SLUICE_SOURCE_URL names another.',
      {
        remedy: 'Unset SLUICE_SOURCE_URL, or drop the schema and the lake by hand.',
      },
    );
  }
  if (config.lake.kind !== 'folder') {
    throw new SluiceError('USAGE', `demo --reset removes folders only, and the lake is ${config.lake.url}.`, {
      remedy: 'Unset SLUICE_LAKE, or remove the objects by hand.',
    });
  }
  log.info({ lake: config.lake.url }, 'resetting the demo');
  for (const dir of [config.lake.dir, config.cacheDir]) {
    if (!dir.startsWith(config.stateDir + sep)) {
      throw new SluiceError(
        'USAGE',
        `demo --reset removes folders inside ${config.stateDir} only, and ${dir} is not.`,
        { remedy: 'Remove it by hand.' },
      );
    }
    await rm(dir, { recursive: true, force: true });
  }
  const postgresDir = join(config.stateDir, 'postgres');
  if (!existsSync(postgresDir)) return;
  // A server that still runs from a killed run is joined and ended before its folder goes.
  await (await startEmbeddedPostgres({ dir: postgresDir, log })).stop();
  await rm(postgresDir, { recursive: true, force: true });
}

/** Runs the pipeline on the server that runs already, and shows what a user gets of it. */
async function finishDemo(
  context: CommandContext,
  sourceUrl: string,
  view: ProgressView,
  started: number,
  facts: Readonly<Record<string, unknown>>,
): Promise<void> {
  const project = openProject({ ...context.config, sourceUrl }, context.log);
  const result: EltResult = await runProject(
    project,
    { steps: 'all' },
    { onProgress: view.onProgress, signal: context.signal },
  );
  view.done();
  const { output } = context;
  printRun(output, result);
  const answer = await showUserTrends(context, project);
  const seconds = (performance.now() - started) / 1000;
  output.result(toSnakeCase({ ...facts, run: result, answer, seconds }));
  output.heading(`Done in ${formatDuration(seconds * 1000)}. Try next`);
  const token = `--sub ${answer.sub} --org ${answer.orgId}`;
  for (const line of [
    'npm run demo                        again: takes only what changed',
    'npm run demo -- evolve              five more days of life: corrections, deletions, late rows',
    'npx sluice plan                     what a run would do, and why',
    'npx sluice query "from gold.dim_tags limit 5"',
    `npx sluice serve                    gold over HTTP; then, in another terminal:`,
    `  curl -H "Authorization: Bearer $(npx sluice token ${token})" "http://127.0.0.1:8787/api/analytics/datasets/fct_monthly_trends/query?limit=3"`,
  ]) {
    output.line(`  ${line}`);
  }
}
