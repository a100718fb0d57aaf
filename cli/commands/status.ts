import { openProject } from '../../infra/project.ts';
import type { BronzeCommit } from '../../warehouse/core/bronze-commit.ts';
import { loadSources } from '../../warehouse/extract/index.ts';
import type { CommandHost } from '../context.ts';
import { formatBytes, formatCount, formatCounted, formatTable } from '../table.ts';
import { summarizeRelease } from './releases.ts';

interface TableStatus {
  readonly source: string;
  readonly table: string;
  readonly mode: string;
  readonly carriesDeletes: boolean;
  readonly lastCommit: number;
  readonly rowsLogged: number;
  readonly bytes: number;
  readonly watermark: string | null;
}

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
        const lastCommits: BronzeCommit[] = [];
        const tables: TableStatus[] = [];
        for (const source of sources) {
          const totals = new Map<string, TableStatus>();
          for await (const commit of bronze.commits(source.name)) {
            for (const [table, entry] of Object.entries(commit.tables)) {
              const before = entry.replaced ? undefined : totals.get(table);
              totals.set(table, {
                source: source.name,
                table,
                mode: entry.mode,
                carriesDeletes: entry.mode === 'full',
                lastCommit: entry.files.length > 0 ? commit.number : (before?.lastCommit ?? 0),
                rowsLogged: (before?.rowsLogged ?? 0) + entry.files.reduce((sum, file) => sum + file.rows, 0),
                bytes: (before?.bytes ?? 0) + entry.files.reduce((sum, file) => sum + file.bytes, 0),
                watermark: entry.watermark.after?.value ?? null,
              });
            }
            lastCommits[sources.indexOf(source)] = commit;
          }
          tables.push(...totals.values());
        }
        const release = await releases.current();
        output.result({
          lake: config.lake.url,
          sources: sources.map((source, index) => ({
            name: source.name,
            last_commit: lastCommits[index]?.number ?? 0,
            snapshot_at: lastCommits[index]?.snapshot.at ?? null,
          })),
          tables: tables.map((table) => ({
            source: table.source,
            table: table.table,
            mode: table.mode,
            carries_deletes: table.carriesDeletes,
            last_commit: table.lastCommit,
            rows_logged: table.rowsLogged,
            bytes: table.bytes,
            watermark: table.watermark,
          })),
          release: release === undefined ? null : summarizeRelease(release),
        });
        output.heading(`lake ${config.lake.url}`);
        for (const [index, source] of sources.entries()) {
          const commit = lastCommits[index];
          output.line(
            commit === undefined
              ? `${source.name}: nothing extracted yet (sluice run).`
              : `${source.name}: commit ${commit.number}, Postgres as of ${formatAge(commit.snapshot.at)}`,
          );
        }
        if (tables.length > 0) output.line(formatTables(tables));
        output.heading('release');
        if (release === undefined) {
          output.line('None yet: sluice run makes the first.');
          return undefined;
        }
        const warnings = release.tests.filter((test) => test.status === 'warn');
        const behind = sources.filter(
          (source, index) => (lastCommits[index]?.number ?? 0) > (release.commits[source.name] ?? 0),
        );
        output.line(
          `${release.number} (${release.version}), as of ${release.asOf}, published ${formatAge(release.publishedAt)}, ${formatCounted(release.models.length, 'model')}, ${formatCounted(release.tests.length, 'test')}`,
        );
        if (behind.length > 0)
          output.line(`Bronze is ahead of it (${behind.map((source) => source.name).join(', ')}): sluice build.`);
        for (const test of warnings) output.line(`warning: ${test.name}: ${formatCounted(test.failures, 'row')}`);
        return undefined;
      }),
    );
}

function formatTables(tables: readonly TableStatus[]): string {
  return formatTable(tables, [
    { title: 'table', value: (table) => `${table.source}.${table.table}` },
    { title: 'mode', value: (table) => table.mode },
    { title: 'deletes', value: (table) => (table.carriesDeletes ? 'carried' : 'not carried') },
    { title: 'changed in', value: (table) => `commit ${table.lastCommit}`, align: 'right' },
    { title: 'rows logged', value: (table) => formatCount(table.rowsLogged), align: 'right' },
    { title: 'bytes', value: (table) => formatBytes(table.bytes), align: 'right' },
    { title: 'watermark', value: (table) => table.watermark ?? '' },
  ]);
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
