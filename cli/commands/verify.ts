import { openProject, withSource } from '../../infra/project.ts';
import { SLUICE_VERSION } from '../../infra/version.ts';
import { openWorkFolder } from '../../infra/work-folder.ts';
import { ERROR_CODES, SluiceError } from '../../warehouse/core/errors.ts';
import { loadSources, type TableVerification, verifySource } from '../../warehouse/extract/index.ts';
import type { CommandHost } from '../context.ts';
import { toSnakeCase } from '../output.ts';
import { createProgressView } from '../progress.ts';
import { readSample } from '../sample-option.ts';
import { formatCount, formatDuration, formatTable } from '../table.ts';
import { verifyGold } from '../verify-gold.ts';

export function registerVerify({ program, action }: CommandHost): void {
  program
    .command('verify')
    .summary('compare bronze with Postgres, or gold with a rebuild')
    .description(
      'Computes the number of rows and a checksum of every table in Postgres and in bronze, at one Postgres snapshot, and names some keys of each kind of difference. Exit code 1 when something differs. Rows that a column could not hold are named as set aside and do not count as different. Rows written since the last extraction differ: run sluice extract first.',
    )
    .option('--tables <names...>', 'only these, as source.table')
    .option(
      '--rebuild',
      'instead: build every model anew from the bronze of the current release, aside, and compare each table with the release row by row; takes about the size of the warehouse on disk meanwhile, publishes nothing',
    )
    .option('--sample <count>', 'keys named per kind of difference, 0 to 1000', '5')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice verify\n  $ sluice verify --tables app.orgs app.tags --sample 50\n  $ sluice extract && sluice verify --json\n  $ sluice verify --rebuild',
    )
    .action(
      action<{ tables?: string[]; sample: string; rebuild?: true }>(
        async ({ config, output, log, signal }, options) => {
          const sample = readSample('verify', options.sample);
          if (options.rebuild === true) {
            if (options.tables !== undefined) {
              throw new SluiceError(
                'USAGE',
                'verify: --rebuild builds every model; --tables chooses tables of bronze.',
                {
                  remedy: 'Leave one of them out.',
                },
              );
            }
            return verifyGold({ config, output, log, signal }, sample);
          }
          const { bronze } = openProject(config, log);
          const sources = await loadSources(config.projectDir);
          const view = createProgressView(output);
          const work = await openWorkFolder(config);
          const report = await withSource(config, log, async (url) =>
            verifySource({
              url,
              sources,
              state: await bronze.state(sources.map((source) => source.name)),
              workDir: work.dir,
              version: SLUICE_VERSION,
              maskSecret: config.maskSecret,
              log,
              onProgress: view.onProgress,
              tables: options.tables,
              sample,
              signal,
              limits: {
                threads: config.threads,
                memoryMb: config.memoryMb,
                statementTimeoutMs: config.statementTimeoutMs,
                lockTimeoutMs: config.lockTimeoutMs,
              },
            }),
          ).finally(async () => {
            view.done();
            await work.remove();
          });
          output.result(toSnakeCase(report));
          output.line(formatVerifications(report.tables));
          for (const table of report.tables.filter((candidate) => !candidate.equal || candidate.setAside.count > 0))
            output.line(`\n${describeDifferences(table)}`);
          const aside = report.tables.reduce((sum, table) => sum + table.setAside.count, 0);
          output.line(
            report.equal
              ? `\nBronze equals Postgres: every table, every row${aside === 0 ? '' : ` but ${formatCount(aside)} set aside`}, at ${report.snapshotAt}.`
              : `\nBronze differs from Postgres at ${report.snapshotAt}. Rows written since the last extraction are among this: sluice extract, then verify again.`,
          );
          return report.equal ? 0 : ERROR_CODES.VERIFY_DIFFERENT.exit;
        },
      ),
    );
}

function formatVerifications(tables: readonly TableVerification[]): string {
  return formatTable(tables, [
    { title: 'table', value: (table) => `${table.source}.${table.table}` },
    { title: 'postgres', value: (table) => formatCount(table.sourceRows), align: 'right' },
    { title: 'bronze', value: (table) => formatCount(table.bronzeRows), align: 'right' },
    { title: 'checksum', value: (table) => table.sourceChecksum },
    { title: '', value: (table) => (table.equal ? 'equal' : 'DIFFERENT') },
    { title: 'time', value: (table) => formatDuration(table.ms), align: 'right' },
    { title: '', value: (table) => table.note ?? '' },
  ]);
}

function describeDifferences(table: TableVerification): string {
  const kinds = [
    { title: 'missing in bronze', sample: table.missingInBronze },
    { title: 'extra in bronze', sample: table.extraInBronze },
    { title: 'other values', sample: table.different },
    { title: 'set aside', sample: table.setAside },
  ];
  const lines = kinds
    .filter(({ sample }) => sample.count > 0)
    .map(({ title, sample }) =>
      [
        `  ${title}: ${formatCount(sample.count)}`,
        ...(sample.keys.length > 0 ? [`e.g. ${sample.keys.join('; ')}`] : []),
      ].join(', '),
    );
  return [`${table.source}.${table.table}`, ...lines].join('\n');
}
