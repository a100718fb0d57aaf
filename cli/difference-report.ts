import type { ModelDifference, RowsDifference, SampleRow } from '../warehouse/transform/index.ts';
import { bold, dim, type Output } from './output.ts';
import { formatCount, formatCounted, formatTable } from './table.ts';

/** Differences of two warehouses for people: a table of the models that differ, then each with its schema, columns and some rows. */
export function printDifferences(output: Output, differences: readonly ModelDifference[]): void {
  const shown = differences.filter(({ kind }) => kind !== 'same');
  if (shown.length === 0) return;
  const count = (of: (rows: RowsDifference) => number) => (difference: ModelDifference) =>
    difference.rows === undefined ? '' : formatCount(of(difference.rows));
  output.line(
    formatTable(shown, [
      { title: 'model', value: ({ model }) => model },
      { title: '', value: ({ kind }) => kind },
      { title: 'before', value: count((rows) => rows.rowsBefore), align: 'right' },
      { title: 'after', value: count((rows) => rows.rowsAfter), align: 'right' },
      { title: 'added', value: count((rows) => rows.added), align: 'right' },
      { title: 'removed', value: count((rows) => rows.removed), align: 'right' },
      { title: 'changed', value: count((rows) => rows.changed), align: 'right' },
      { title: 'compared by', value: ({ rows, note }) => (rows === undefined ? (note ?? '') : rows.by) },
    ]),
  );
  for (const difference of shown) {
    const lines = [...describeSchema(difference), ...describeRows(difference.rows)];
    if (lines.length > 0) output.line(`\n${[bold(difference.model), ...lines.map((line) => `  ${line}`)].join('\n')}`);
  }
}

function describeSchema({ kind, schema }: ModelDifference): readonly string[] {
  if (kind === 'added' || kind === 'removed') return [];
  return [
    ...schema.added.map(({ name, type }) => `+ ${name} ${type}`),
    ...schema.removed.map(({ name, type }) => `- ${name} ${type}`),
    ...schema.retyped.map(({ name, from, to }) => `~ ${name} ${from} → ${to}`),
  ];
}

function describeRows(rows: RowsDifference | undefined): readonly string[] {
  if (rows === undefined) return [];
  return [
    ...rows.columns.map((column) => `${column.column}: ${formatCounted(column.rows, 'row')} with another value`),
    ...rows.samples.map((sample) => dim(describeSample(sample))),
  ];
}

function describeSample({ kind, key, before, after }: SampleRow): string {
  const named = formatValues(key);
  if (kind !== 'changed')
    return `${kind} ${[named, formatValues((kind === 'added' ? after : before) ?? {})].filter(Boolean).join(' | ')}`;
  const changes = Object.entries(after ?? {}).map(
    ([name, value]) => `${name} ${before?.[name] ?? 'NULL'} → ${value ?? 'NULL'}`,
  );
  return `changed ${named} | ${changes.join(', ')}`;
}

function formatValues(values: Readonly<Record<string, string | null>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value ?? 'NULL'}`)
    .join(' ');
}
