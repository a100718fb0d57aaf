import { nearestOf } from '../core/nearest.ts';
import type { Diagnostics } from './diagnostics.ts';
import { reach } from './graph.ts';
import type { CompiledModel } from './model.ts';
import type { ParsedModel } from './parsed-model.ts';
import { SNAPSHOT_COLUMNS } from './snapshot-rule.ts';
import type { BoundColumn } from './sql-engine.ts';

/** Holds the snapshot block of a header against the columns of the SELECT. */
export function checkSnapshot(
  entry: ParsedModel,
  selected: readonly BoundColumn[],
  compiled: ReadonlyMap<string, CompiledModel>,
  diagnostics: Diagnostics,
): void {
  const { model, header, headerAt } = entry;
  const report = (field: readonly (string | number)[], message: string, remedy: string) =>
    diagnostics.add({ code: 'MODEL_HEADER_INVALID', message: `header: ${message}`, at: headerAt(...field), remedy });
  if (model.materialized !== 'snapshot') {
    if (header.snapshot === undefined) return;
    report(
      ['snapshot'],
      `snapshot is set, but the model is a ${model.materialized}`,
      'Write `materialized: snapshot`, or take the block out.',
    );
    return;
  }
  const { snapshot } = model;
  if (snapshot === undefined) {
    report(
      ['materialized'],
      'a snapshot must say how it sees a change',
      'Add `snapshot: { strategy: timestamp, updated_at: <column> }` or `snapshot: { strategy: check, columns: all }`.',
    );
    return;
  }
  if (snapshot.key.length === 0)
    report(['snapshot'], 'a snapshot needs a key', 'Add `key: [columns that identify a row]`, without valid_from.');
  const byName = new Map(selected.map((column) => [column.name.toLowerCase(), column]));
  const find = (column: string, field: readonly (string | number)[]): BoundColumn | undefined => {
    const found = byName.get(column.toLowerCase());
    if (found !== undefined) return found;
    const near = nearestOf(column, byName.keys());
    diagnostics.add({
      code: 'MODEL_COLUMN_UNKNOWN',
      message: `header: ${field.join('.')} names ${column}, which the SELECT does not give${near === undefined ? '' : `; did you mean ${near}?`}`,
      at: headerAt(...field),
      remedy: `The SELECT gives ${selected.map(({ name }) => name).join(', ')}.`,
    });
    return undefined;
  };
  snapshot.key.forEach((column, i) => {
    if (SNAPSHOT_COLUMNS.includes(column.toLowerCase()))
      report(
        ['key', i],
        `the key names ${column}, which the snapshot adds itself`,
        'Name what identifies a row of the SELECT.',
      );
  });
  for (const { name } of selected) {
    if (!SNAPSHOT_COLUMNS.includes(name.toLowerCase())) continue;
    report(
      ['snapshot'],
      `the SELECT gives ${name}, which the snapshot adds itself`,
      'Give the column another name in the SELECT.',
    );
  }
  if (snapshot.change.kind === 'timestamp') {
    const column = find(snapshot.change.updatedAt, ['snapshot', 'updated_at']);
    if (column !== undefined && !/^(DATE$|TIMESTAMP)/.test(column.type))
      report(
        ['snapshot', 'updated_at'],
        `updated_at is ${column.name}, a ${column.type}`,
        'Name a date or a timestamp, or use `strategy: check`.',
      );
  } else if (snapshot.change.columns !== 'all') {
    snapshot.change.columns.forEach((column, i) => find(column, ['snapshot', 'columns', i]));
  }
  reportAsOf(entry, compiled, report);
}

/** A snapshot keeps what the source said and when; what a logical date makes of it would depend on the dates that runs happened to have. */
function reportAsOf(
  { model, header, calls, dependencies }: ParsedModel,
  compiled: ReadonlyMap<string, CompiledModel>,
  report: (field: readonly string[], message: string, remedy: string) => void,
): void {
  const upstream = [...dependencies, ...reach(dependencies, (name) => compiled.get(name)?.dependencies ?? [])];
  const dated = upstream.find((name) => compiled.get(name)?.reachesAsOf === true);
  const own = header.as_of !== undefined || calls.includes('as_of');
  if (!own && dated === undefined) return;
  report(
    ['materialized'],
    `a snapshot reaches as_of()${own || dated === undefined ? '' : ` through ${dated}`}, so that its history would depend on the dates of its runs`,
    `Let ${model.name} read bronze or what does not reach as_of(), and apply the date in a model that reads the snapshot.`,
  );
}
