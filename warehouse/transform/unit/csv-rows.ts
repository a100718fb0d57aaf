import type { SourceLocation } from '../source-location.ts';
import { locate } from '../source-text.ts';
import type { Cell, WrittenRow, WrittenRows } from './unit-test.ts';

/** A CSV file of rows as Postgres writes them: nothing between two commas is NULL, "" is the empty text. */

interface Field {
  readonly text: string;
  readonly quoted: boolean;
  readonly offset: number;
}

type Report = (at: SourceLocation, message: string, remedy: string) => void;

/** The first line names the columns, `name` or `name::TYPE`. Problems are reported with their line; undefined when there is no head. */
export function readCsvRows(file: string, text: string, report: Report): WrittenRows | undefined {
  const body = text.startsWith('\uFEFF') ? text.slice(1) : text;
  const shift = text.length - body.length;
  const place = (offset: number) => locate(file, text, offset + shift);
  const [head, ...records] = readRecords(body, (offset, message) =>
    report(place(offset), message, 'Close the quoted value with ".'),
  );
  if (head === undefined) {
    report(place(0), 'the file is empty', 'Write a first line that names the columns.');
    return undefined;
  }
  const columns = head.map(({ text: name, offset }) => {
    const [, plain = name, type] = /^(.*?)::(.+)$/s.exec(name) ?? [];
    return { name: plain.trim(), ...(type === undefined ? {} : { type: type.trim() }), at: place(offset) };
  });
  const rows: WrittenRow[] = [];
  for (const record of records) {
    const at = place(record[0]?.offset ?? 0);
    if (record.length !== columns.length) {
      report(at, `the row has ${record.length} values for ${columns.length} columns`, VALUES_REMEDY);
      continue;
    }
    const cells = record.map(({ text: value, quoted }, i): [string, Cell] => [
      columns[i]?.name ?? '',
      value === '' && !quoted ? null : value,
    ]);
    rows.push({ at, cells: new Map(cells) });
  }
  return { at: place(0), columns, rows };
}

const VALUES_REMEDY = 'Give each column a value; nothing between two commas is NULL, "" the empty text.';

/** Records of a CSV text (RFC 4180); empty lines are skipped. */
function* readRecords(
  text: string,
  onOpenQuote: (offset: number, message: string) => void,
): Generator<readonly Field[]> {
  let record: Field[] = [];
  let i = 0;
  while (i < text.length) {
    const start = i;
    let value = '';
    const quoted = text[i] === '"';
    if (quoted) {
      for (i += 1; ; i += 1) {
        if (i >= text.length) {
          onOpenQuote(start, 'a quoted value is not closed');
          return;
        }
        if (text[i] !== '"') value += text[i];
        else if (text[i + 1] === '"') {
          value += '"';
          i += 1;
        } else break;
      }
      i += 1;
    }
    while (i < text.length && !',\r\n'.includes(text[i] ?? '')) {
      value += text[i];
      i += 1;
    }
    record.push({ text: value, quoted, offset: start });
    if (text[i] === ',') {
      i += 1;
      // A comma at the very end of the file is followed by one more value, NULL.
      if (i < text.length) continue;
      record.push({ text: '', quoted: false, offset: i });
    }
    if (text[i] === '\r') i += 1;
    if (text[i] === '\n') i += 1;
    const [only] = record;
    const blank = record.length === 1 && only !== undefined && only.text === '' && !only.quoted;
    if (!blank) yield record;
    record = [];
  }
}
