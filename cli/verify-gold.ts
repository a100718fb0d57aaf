import { openProject } from '../infra/project.ts';
import { openWorkFolder } from '../infra/work-folder.ts';
import { ERROR_CODES } from '../warehouse/core/errors.ts';
import { compileProject, loadProject, verifyRebuild } from '../warehouse/transform/index.ts';
import type { CommandContext } from './context.ts';
import { printDifferences } from './difference-report.ts';
import { toSnakeCase } from './output.ts';
import { createProgressView } from './progress.ts';
import { formatCounted, formatTable } from './table.ts';
import { currentRelease } from './warehouse-session.ts';

/** `verify --rebuild`: the current release against all of it built anew. The exit code is 1 when a row differs. */
export async function verifyGold({ config, output, log, signal }: CommandContext, sample: number): Promise<number> {
  const project = openProject(config, log);
  const release = await currentRelease(project);
  const bronze = await project.bronze.snapshotAt(release.commits);
  const compiled = await compileProject({ files: await loadProject(config.projectDir), bronzeTables: bronze.tables });
  const view = createProgressView(output);
  const work = await openWorkFolder(config);
  try {
    const report = await verifyRebuild({
      project: compiled,
      release,
      paths: await project.releases.fetch(release),
      bronze,
      sample,
      workDir: work.dir,
      limits: { threads: config.threads, memoryLimitMb: config.memoryMb },
      log,
      onProgress: view.onProgress,
      signal,
    });
    view.done();
    output.result({
      release: release.number,
      as_of: release.asOf,
      commits: release.commits,
      ...(toSnakeCase(report) as object),
    });
    output.line(
      formatTable(report.models, [
        { title: 'model', value: ({ model }) => model },
        { title: 'rows', value: ({ rows }) => (rows === undefined ? '' : String(rows.rowsBefore)), align: 'right' },
        { title: '', value: ({ kind }) => (kind === 'same' ? 'equal' : 'DIFFERENT') },
        { title: 'compared by', value: ({ rows, note }) => rows?.by ?? note ?? '' },
      ]),
    );
    if (!report.equal) output.line('\nBefore: the release. After: built anew.\n');
    printDifferences(output, report.models);
    for (const name of report.notCompared)
      output.line(
        `${name}: not compared, for the release holds another definition of it or of what it reads, or older inputs`,
      );
    const compared = formatCounted(report.models.length, 'model');
    output.line(
      report.equal
        ? `\nRelease ${release.number} equals a rebuild from bronze: ${compared}, every row.`
        : `\nRelease ${release.number} differs from a rebuild from bronze. sluice build --full-refresh publishes the rebuild.`,
    );
    return report.equal ? 0 : ERROR_CODES.VERIFY_DIFFERENT.exit;
  } finally {
    view.done();
    await work.remove();
  }
}
