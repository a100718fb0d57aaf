import { SluiceError } from '../../warehouse/core/errors.ts';
import type { BackfillResult, BackfillStart } from '../../workflows/backfill.ts';
import type { CommandHost } from '../context.ts';
import { toSnakeCase } from '../output.ts';
import { formatCount, formatCounted } from '../table.ts';

interface BackfillOptions {
  readonly keyFrom?: string;
  readonly keyTo?: string;
  readonly from?: string;
  readonly to?: string;
  readonly column?: string;
  readonly rowsPerSlice?: string;
  readonly build: boolean;
  readonly wait: boolean;
}

export function registerBackfill({ program, action }: CommandHost): void {
  program
    .command('backfill')
    .argument('<source.table>', 'the table to read again')
    .summary('read a table or a range of it again and carry what differs')
    .description(
      'Starts a backfill on the Temporal server: reads the table, or the rows of a range, again in slices, commits what differs and then runs the pipeline, so that gold shows it. The watermark stays: the usual runs beside it miss nothing. Without a range, and with a range of keys, deleted rows are found too.',
    )
    .option('--key-from <value>', 'first value of the first key column')
    .option('--key-to <value>', 'last value of the first key column')
    .option('--column <name>', 'column of --from and --to (default: the table’s cursor)')
    .option('--from <value>', 'first value of the column')
    .option('--to <value>', 'last value of the column')
    .option('--rows-per-slice <n>', 'rows read and committed at a time (default: 250000)')
    .option('--no-build', 'leave bringing the models up to date to the next run')
    .option('--no-wait', 'start it and return')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice backfill app.tags\n  $ sluice backfill app.orgs --key-from 1 --key-to 500\n  $ sluice backfill app.transactions --column booking_date --from 2026-06-01 --to 2026-06-30 --no-wait',
    )
    .action(
      action<BackfillOptions>(async ({ config, output, signal }, options, [name = '']) => {
        const input = toStart(name, options);
        const { connectTemporal } = await import('../../infra/temporal-connection.ts');
        const { startBackfill, waitForRun } = await import('../../infra/temporal-runs.ts');
        const temporal = await connectTemporal(config);
        try {
          const run = await startBackfill(temporal, input);
          output.note(`${run.workflowId} started: ${run.link}`);
          if (!options.wait) {
            output.result(toSnakeCase(run));
            return undefined;
          }
          const result = await waitForRun<BackfillResult>(temporal, run, { signal });
          output.result(toSnakeCase({ ...run, ...result }));
          output.line(
            `${result.source}.${result.table}: ${formatCounted(result.rowsRead, 'row')} read, ${formatCount(result.inserted)} new, ${formatCount(result.updated)} changed, ${formatCount(result.deleted)} deleted${result.note === undefined ? '' : ` (${result.note})`}.`,
          );
          if (result.release !== undefined) output.line(`Release ${result.release} shows it.`);
        } finally {
          await temporal.close();
        }
        return undefined;
      }),
    );
}

function toStart(name: string, options: BackfillOptions): BackfillStart {
  const dot = name.indexOf('.');
  if (dot < 1 || dot === name.length - 1) {
    throw new SluiceError('USAGE', `${JSON.stringify(name)} names no table.`, {
      remedy: 'Write source.table, e.g. sluice backfill app.transactions.',
    });
  }
  const { build, wait: _, rowsPerSlice, ...range } = options;
  const rows = rowsPerSlice === undefined ? undefined : Number(rowsPerSlice);
  return {
    source: name.slice(0, dot),
    table: name.slice(dot + 1),
    ...pick(range, ['keyFrom', 'keyTo', 'from', 'to', 'column']),
    ...(!build && { build: false }),
    ...(rows !== undefined && { rowsPerSlice: rows }),
  };
}

/** Options of the command line hold the global ones too; a workflow refuses what it does not know. */
function pick<Name extends 'keyFrom' | 'keyTo' | 'from' | 'to' | 'column'>(
  options: Partial<Readonly<Record<Name, string>>>,
  names: readonly Name[],
): Partial<Record<Name, string>> {
  return Object.fromEntries(
    names.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
  ) as Partial<Record<Name, string>>;
}
