import type { ExtractReport, ModelReport, TableReport } from '../activities/contract.ts';
import type { EltResult } from '../workflows/contract.ts';
import { dim, type Output } from './output.ts';
import { formatBytes, formatCount, formatCounted, formatDuration, formatTable } from './table.ts';

/** What a run did, for people: a table per stage and one line on the release. */
export function printRun(output: Output, result: EltResult): void {
  if (result.extract !== undefined) printExtract(output, result.extract);
  printModels(output, result.models);
  if (result.release === undefined) {
    output.line(`\nNothing new for as of ${result.asOf}: the current release already holds it.`);
    return;
  }
  const { release, tests } = result;
  const warned = tests.warned === 0 ? '' : `, ${tests.warned} with warnings`;
  const { privateName } = release;
  if (privateName !== undefined) {
    output.line(
      `\nPrivate release ${privateName} made: ${release.version}, as of ${release.asOf}, ${formatCounted(tests.passed, 'test')} passed${warned}. Readers do not see it.\n  sluice diff --private ${privateName} compares it, sluice promote ${privateName} publishes it.`,
    );
    return;
  }
  output.line(
    `\nRelease ${release.number} published: ${release.version}, as of ${release.asOf}, ${formatCounted(tests.passed, 'test')} passed${warned}, ${formatBytes(release.bytes)} in ${formatDuration(release.ms)}.`,
  );
}

export function printExtract(output: Output, extract: ExtractReport): void {
  const changed = extract.tables.filter((table) => table.inserted + table.updated + table.deleted > 0);
  output.heading(
    `extract → bronze  ${dim(`one snapshot at ${extract.snapshotAt.slice(0, 19).replace('T', ' ')} UTC, ${formatDuration(extract.ms)}`)}`,
  );
  output.line(
    formatTable<TableReport>(extract.tables, [
      { title: 'table', value: (table) => `${table.source}.${table.table}` },
      { title: 'mode', value: (table) => table.mode },
      { title: 'read', value: (table) => formatCount(table.rowsRead), align: 'right' },
      { title: 'new', value: (table) => formatCount(table.inserted), align: 'right' },
      { title: 'changed', value: (table) => formatCount(table.updated), align: 'right' },
      { title: 'deleted', value: (table) => formatCount(table.deleted), align: 'right' },
      { title: 'bytes', value: (table) => formatBytes(table.bytes), align: 'right' },
      { title: 'time', value: (table) => formatDuration(table.ms), align: 'right' },
      { title: '', value: (table) => table.note ?? '' },
    ]),
  );
  if (changed.length === 0) output.line('Nothing changed since the last extraction.');
}

function printModels(output: Output, models: readonly ModelReport[]): void {
  for (const layer of ['silver', 'gold']) {
    const ran = models.filter(
      (model) => model.name.startsWith(`${layer}.`) && model.action !== 'unchanged' && model.action !== 'not selected',
    );
    if (ran.length === 0) continue;
    output.heading(`${layer}  ${dim(formatDuration(ran.reduce((sum, model) => sum + model.ms, 0)))}`);
    output.line(
      formatTable<ModelReport>(ran, [
        { title: 'model', value: (model) => model.name },
        { title: 'how', value: (model) => model.action },
        { title: 'rows', value: (model) => (model.action === 'view' ? '' : formatCount(model.rows)), align: 'right' },
        {
          title: 'changed',
          value: (model) => (model.action === 'view' ? '' : formatCount(model.changedRows)),
          align: 'right',
        },
        { title: 'time', value: (model) => formatDuration(model.ms), align: 'right' },
        { title: 'why', value: (model) => model.why },
      ]),
    );
  }
}
