import { findFailingRows } from '../../infra/failing-rows.ts';
import { openProject } from '../../infra/project.ts';
import type { BronzeTableOverview } from '../../warehouse/core/bronze-commit.ts';
import { loadSources } from '../../warehouse/extract/index.ts';
import type { CommandHost } from '../context.ts';
import { formatBytes, formatCount, formatCounted, formatTable } from '../table.ts';
import { summarizeRelease } from './releases.ts';

type TableStatus = BronzeTableOverview & { readonly source: string };

export function registerStatus({ program, action }: CommandHost): void {
  program
    .command('status')
    .summary('what bronze and gold hold, and how fresh they are')
    .description(
      'Shows, without asking Postgres: the last commit of each source, what each table holds in bronze, the current release, what it was built from and its warnings.',
    )
    .addHelpText('after', '\nExamples:\n  $ sluice status\n  $ sluice status --json')
    .action(
      action(async ({ config, output, log }) => {
        const { bronze, releases } = openProject(config, log);
        const sources = await loadSources(config.projectDir);
        // From the log alone: no file of bronze is fetched for it.
        const overviews = await bronze.overview(sources.map((source) => source.name));
        const tables = overviews.flatMap(({ source, tables: of }) => of.map((table) => ({ source, ...table })));
        const release = await releases.current();
        const failedLast = await findFailingRows(config.stateDir);
        output.result({
          lake: config.lake.url,
          sources: overviews.map(({ source, number, snapshot }) => ({
            name: source,
            last_commit: number,
            snapshot_at: snapshot?.at ?? null,
          })),
          tables: tables.map((table) => ({
            source: table.source,
            table: table.table,
            mode: table.mode,
            carries_deletes: table.mode === 'full',
            consistency: table.consistency,
            last_commit: table.lastCommit,
            rows_logged: table.rowsLogged,
            files: table.files,
            bytes: table.bytes,
            watermark: table.watermark?.value ?? null,
            quarantined: {
              rows: table.quarantined.rows,
              files: table.quarantined.files.map((file) => file.key),
            },
          })),
          release: release === undefined ? null : summarizeRelease(release),
          failing_rows: failedLast ?? null,
        });
        output.heading(`lake ${config.lake.url}`);
        for (const { source, number, snapshot } of overviews) {
          output.line(
            snapshot === null
              ? `${source}: nothing extracted yet (sluice run).`
              : `${source}: commit ${number}, Postgres as of ${formatAge(snapshot.at)}`,
          );
        }
        if (tables.length > 0) output.line(formatTables(tables));
        for (const table of tables) for (const line of describeDoubts(table)) output.line(line);
        if (failedLast !== undefined)
          output.line(
            `Failing rows of the last build that tests found any in: ${failedLast.dir} (${failedLast.files.join(', ')})`,
          );
        output.heading('release');
        if (release === undefined) {
          output.line('None yet: sluice run makes the first.');
          return undefined;
        }
        const warnings = release.tests.filter((test) => test.status === 'warn');
        const behind = sources.filter(
          (_, index) => (overviews[index]?.number ?? 0) > (release.commits[overviews[index]?.source ?? ''] ?? 0),
        );
        output.line(
          `${release.number} (${release.version}), as of ${release.asOf}, published ${formatAge(release.publishedAt)}, ${formatCounted(release.models.length, 'model')}, ${formatCounted(release.tests.length, 'test')}`,
        );
        if (behind.length > 0)
          output.line(`Bronze is ahead of it (${behind.map((source) => source.name).join(', ')}): sluice build.`);
        for (const { name, failures, kept } of warnings) {
          const where = kept === undefined ? '' : `, kept in ${kept.path}`;
          output.line(`warning: ${name}: ${formatCounted(failures, 'row')}${where}`);
        }
        return undefined;
      }),
    );
}

function formatTables(tables: readonly TableStatus[]): string {
  return formatTable(tables, [
    { title: 'table', value: (table) => `${table.source}.${table.table}` },
    { title: 'mode', value: (table) => table.mode },
    { title: 'deletes', value: (table) => (table.mode === 'full' ? 'carried' : 'not carried') },
    { title: 'changed in', value: (table) => `commit ${table.lastCommit}`, align: 'right' },
    { title: 'rows logged', value: (table) => formatCount(table.rowsLogged), align: 'right' },
    { title: 'bytes', value: (table) => formatBytes(table.bytes), align: 'right' },
    { title: 'watermark', value: (table) => table.watermark?.value ?? '' },
  ]);
}

/** What a reader of the table must know of it. */
function describeDoubts({ source, table, quarantined, consistency }: TableStatus): readonly string[] {
  const { rows, files } = quarantined;
  const last = files.at(-1);
  const more = files.length > 1 ? ` and ${formatCount(files.length - 1)} more files` : '';
  const aside =
    last === undefined ? [] : [`${source}.${table}: ${formatCount(rows)} rows set aside, in ${last.key}${more}`];
  const repaired =
    consistency === 'repaired'
      ? [`${source}.${table}: repaired: its first load was resumed in a later snapshot; a whole read makes it exact`]
      : [];
  return [...aside, ...repaired];
}

/** An instant with its distance from now: 2026-06-30 12:00:00 UTC, 5 min ago. */
function formatAge(instant: string): string {
  const at = new Date(instant);
  const minutes = Math.max(0, Math.round((Date.now() - at.getTime()) / 60_000));
  const ago =
    minutes < 1
      ? 'just now'
      : minutes < 120
        ? `${minutes} min ago`
        : minutes < 2880
          ? `${Math.round(minutes / 60)} h ago`
          : `${Math.round(minutes / 1440)} days ago`;
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC, ${ago}`;
}
