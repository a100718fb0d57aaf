import { z } from 'zod';
import { openProject } from '../../infra/project.ts';
import { SluiceError } from '../../warehouse/core/errors.ts';
import type { CommandHost } from '../context.ts';
import { formatAnswer, formatCsv, readAnswer } from '../sql-answer.ts';
import { openWarehouseSession } from '../warehouse-session.ts';

const optionsSchema = z.object({
  limit: z.coerce.number().int().min(1).max(10_000_000),
  csv: z.boolean().optional(),
  private: z.string().optional(),
});

export function registerQuery({ program, action }: CommandHost): void {
  program
    .command('query')
    .summary('one SQL statement over bronze, silver and gold')
    .description(
      'Runs one statement of DuckDB SQL on the current release, read-only: bronze.<source>.<table>, bronze_log.<source>.<table>, silver.<table>, gold.<table>, as_of(). No owner filter applies: this is for those who run the project.',
    )
    .argument('<sql>', 'the statement')
    .option('--limit <rows>', 'most rows to print; it says so when there are more', '100')
    .option('--csv', 'print CSV')
    .option('--private <name>', 'ask this private release instead (sluice build --private)')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice query "from gold.fct_monthly_trends order by month desc limit 5"\n  $ sluice query "select count(*) from bronze.app.transactions" --json\n  $ sluice query "from gold.dim_tags" --csv --limit 100000 > tags.csv',
    )
    .action(
      action(async ({ config, output, log, signal }, options, [sql = '']) => {
        const parsed = optionsSchema.safeParse(options);
        if (!parsed.success)
          throw new SluiceError('USAGE', 'query: --limit is not a number of rows from 1 to 10,000,000.', {
            remedy: 'Try: sluice query "from gold.dim_tags" --limit 500',
          });
        if (parsed.data.csv === true && output.json)
          throw new SluiceError('USAGE', 'query: --csv and --json are two formats for one output.', {
            remedy: 'Leave one of them out.',
          });
        const session = await openWarehouseSession(openProject(config, log), parsed.data.private);
        try {
          const answer = await readAnswer(session.db, sql, parsed.data.limit, signal);
          output.result({
            release: session.release.number,
            ...(session.release.privateName !== undefined && { private: session.release.privateName }),
            as_of: session.release.asOf,
            columns: answer.columns,
            rows: answer.rows.map((row) =>
              Object.fromEntries(answer.columns.map((column, index) => [column.name, row[index]])),
            ),
            truncated: answer.more,
          });
          if (parsed.data.csv === true) {
            output.line(formatCsv(answer));
            if (answer.more)
              throw new SluiceError(
                'QUERY_TOO_LARGE',
                `The query has more than the ${parsed.data.limit} rows printed.`,
                { remedy: 'Raise --limit, or filter more.' },
              );
          } else {
            output.line(formatAnswer(answer));
          }
        } finally {
          await session.close();
        }
        return undefined;
      }),
    );
}
