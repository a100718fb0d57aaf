import type { UnitFailure } from '../warehouse/transform/index.ts';
import { formatTable } from './table.ts';

/** What a unit test found otherwise than expected, for people: rows by their key, old and new value side by side. */

type RowText = Readonly<Record<string, string | null>>;

const SHOWN = 20;

export function formatUnitFailure(failure: UnitFailure, indent: string): string {
  return describe(failure)
    .split('\n')
    .map((line) => (line === '' ? '' : `${indent}${line}`))
    .join('\n');
}

function describe(failure: UnitFailure): string {
  const head = `${failure.step}: ${failure.subject}`;
  switch (failure.kind) {
    case 'error':
      return `${head}: ${failure.problem}`;
    case 'action':
      return `${head} was ${failure.found}, expected ${failure.expected} (${failure.why})`;
    case 'test':
      return [`${head}: ${failure.problem}`, ...(failure.sample.length === 0 ? [] : [table(failure.sample)])].join(
        '\n',
      );
    case 'rows': {
      const { missing, extra, changed } = failure.differences;
      const counts = [
        ...(changed.length > 0 ? [`${changed.length} changed`] : []),
        ...(missing.length > 0 ? [`${missing.length} missing`] : []),
        ...(extra.length > 0 ? [`${extra.length} extra`] : []),
      ];
      const values = changed.flatMap(({ key, columns }) =>
        Object.entries(columns).map(([column, { expected, found }]) => ({ ...key, column, expected, found })),
      );
      return [
        `${head}: ${counts.join(', ')}`,
        ...section('changed', values, true),
        ...section('missing: expected, not there', missing),
        ...section('extra: there, not expected', extra),
      ].join('\n');
    }
    default:
      return failure satisfies never;
  }
}

function section(title: string, rows: readonly RowText[], isTitled = false): string[] {
  if (rows.length === 0) return [];
  const more = rows.length > SHOWN ? `, the first ${SHOWN} of ${rows.length}` : '';
  return [
    ...(isTitled && more === '' ? [] : [`  ${title}${more}`]),
    `  ${table(rows.slice(0, SHOWN)).replaceAll('\n', '\n  ')}`,
  ];
}

/** NULL and the empty text look different: NULL and ''. */
function table(rows: readonly RowText[]): string {
  const titles = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return formatTable(
    rows,
    titles.map((title) => ({
      title,
      value: (row: RowText) => {
        const value = row[title] ?? null;
        return value === null ? 'NULL' : value === '' ? "''" : value;
      },
    })),
  );
}
