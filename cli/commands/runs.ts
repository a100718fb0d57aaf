import type { RunSummary } from '../../infra/temporal-runs.ts';
import { SluiceError } from '../../warehouse/core/errors.ts';
import type { CommandHost } from '../context.ts';
import { toSnakeCase } from '../output.ts';
import { formatCount, formatDuration, formatTable } from '../table.ts';

interface RunsOptions {
  readonly limit: string;
  readonly filter?: string;
}

export function registerRuns({ program, action }: CommandHost): void {
  program
    .command('runs')
    .summary('runs on the Temporal server, with states and links')
    .description(
      'Lists runs and backfills, newest first. --filter takes a visibility query over EltPipeline, EltRunKind (nightly, manual, backfill), EltSource, EltTable, EltLogicalDate, EltRows and Temporal’s own attributes.',
    )
    .option('--limit <n>', 'how many', '20')
    .option('--filter <query>', 'a visibility query instead of all runs')
    .addHelpText(
      'after',
      `\nExamples:\n  $ sluice runs\n  $ sluice runs --filter "EltRunKind = 'nightly' and ExecutionStatus = 'Failed'" --limit 5`,
    )
    .action(
      action<RunsOptions>(async ({ config, output }, options) => {
        const limit = Number(options.limit);
        if (!Number.isInteger(limit) || limit < 1 || limit > 1_000) {
          throw new SluiceError('USAGE', `--limit ${options.limit} is not a whole number from 1 to 1000.`, {
            remedy: 'E.g. --limit 50.',
          });
        }
        const { connectTemporal } = await import('../../infra/temporal-connection.ts');
        const { listRuns } = await import('../../infra/temporal-runs.ts');
        const temporal = await connectTemporal(config);
        try {
          const runs = await listRuns(temporal, { limit, ...(options.filter && { filter: options.filter }) });
          output.result(toSnakeCase({ runs }));
          if (runs.length === 0) output.line('No runs: sluice run --temporal starts one.');
          else output.line(formatRuns(runs));
        } finally {
          await temporal.close();
        }
        return undefined;
      }),
    );
}

function formatRuns(runs: readonly RunSummary[]): string {
  return formatTable<RunSummary>(runs, [
    { title: 'started (UTC)', value: (run) => run.startedAt.slice(0, 19).replace('T', ' ') },
    { title: 'what', value: (run) => (run.table === null ? run.type : `${run.type} ${run.table}`) },
    { title: 'kind', value: (run) => run.kind ?? '' },
    { title: 'as of', value: (run) => run.asOf ?? '' },
    { title: 'state', value: (run) => run.state },
    {
      title: 'took',
      value: (run) =>
        formatDuration((run.closedAt === null ? Date.now() : Date.parse(run.closedAt)) - Date.parse(run.startedAt)),
      align: 'right',
    },
    { title: 'rows', value: (run) => (run.rows === null ? '' : formatCount(run.rows)), align: 'right' },
    { title: 'link', value: (run) => run.link },
  ]);
}
