import { readCsv } from '../read-csv.ts';
import type { SourceLocation } from '../source-location.ts';
import { locate } from '../source-text.ts';
import type { Cell, WrittenRow, WrittenRows } from './unit-test.ts';

type Report = (at: SourceLocation, message: string, remedy: string) => void;

/** The first line names the columns, `name` or `name::TYPE`. Problems are reported with their line; undefined when there is no head. */
export function readCsvRows(file: string, text: string, report: Report): WrittenRows | undefined {
  const place = (offset: number) => locate(file, text, offset);
  const { records, problem } = readCsv(text);
  if (problem !== undefined) report(place(problem.offset), problem.message, problem.remedy);
  const [head, ...body] = records;
  if (head === undefined) {
    if (problem === undefined) report(place(0), 'the file is empty', 'Write a first line that names the columns.');
    return undefined;
  }
  const columns = head.map(({ text: name, offset }) => {
    const [, plain = name, type] = /^(.*?)::(.+)$/s.exec(name) ?? [];
    return { name: plain.trim(), ...(type === undefined ? {} : { type: type.trim() }), at: place(offset) };
  });
  const rows: WrittenRow[] = [];
  for (const record of body) {
    const at = place(record[0]?.offset ?? 0);
    if (record.length !== columns.length) {
      report(at, `the row has ${record.length} values for ${columns.length} columns`, VALUES_REMEDY);
      continue;
    }
    const cells = record.map(({ text: value, isQuoted }, i): [string, Cell] => [
      columns[i]?.name ?? '',
      value === '' && !isQuoted ? null : value,
    ]);
    rows.push({ at, cells: new Map(cells) });
  }
  return { at: place(0), columns, rows };
}

const VALUES_REMEDY = 'Give each column a value; nothing between two commas is NULL, "" the empty text.';
