/** CSV as RFC 4180 has it, read without guessing: every field knows its place, and what is not CSV is an error at its place. */

export interface CsvField {
  readonly text: string;
  /** An empty field without quotes is NULL, one with quotes the empty text. */
  readonly isQuoted: boolean;
  readonly offset: number;
}

export interface CsvProblem {
  readonly message: string;
  readonly offset: number;
  readonly remedy: string;
}

/** Records in order; the first problem ends the reading. Lines end in LF or CRLF; empty lines stand at the end only. */
export function readCsv(text: string): {
  readonly records: readonly (readonly CsvField[])[];
  readonly problem?: CsvProblem;
} {
  const records: CsvField[][] = [];
  let record: CsvField[] = [];
  let i = text.startsWith('\uFEFF') ? 1 : 0;
  const fail = (offset: number, message: string, remedy: string) => ({
    records,
    problem: { message, offset, remedy },
  });
  while (i < text.length) {
    const start = i;
    let field: CsvField;
    if (text[i] === '"') {
      const end = endOfQuotes(text, i);
      if (end === undefined) return fail(start, 'a quoted field is not closed', 'Close it with ".');
      field = { text: text.slice(i + 1, end - 1).replaceAll('""', '"'), isQuoted: true, offset: start };
      i = end;
      if (i < text.length && !',\n\r'.includes(text[i] ?? ''))
        return fail(
          i,
          'text follows a quoted field',
          'Put the whole field in quotes, and write a quote within it twice.',
        );
    } else {
      while (i < text.length && !',\n\r'.includes(text[i] ?? '')) {
        if (text[i] === '"')
          return fail(
            i,
            'a quote stands within a field',
            'Put the whole field in quotes, and write a quote within it twice.',
          );
        i += 1;
      }
      field = { text: text.slice(start, i), isQuoted: false, offset: start };
    }
    const end = text[i];
    if (end === '\r' && text[i + 1] !== '\n')
      return fail(i, 'a line ends in CR alone', 'End lines with LF or CRLF, or put the field in quotes.');
    record.push(field);
    i += end === '\r' ? 2 : 1;
    if (end === ',') {
      if (i >= text.length) record.push({ text: '', isQuoted: false, offset: i });
      else continue;
    }
    const isBlank = record.length === 1 && field.text === '' && !field.isQuoted;
    if (!isBlank) records.push(record);
    else if (/\S/.test(text.slice(i)))
      return fail(start, 'a line is empty', 'Take it out; a row whose one field is NULL cannot be written.');
    record = [];
  }
  return { records };
}

function endOfQuotes(text: string, start: number): number | undefined {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] !== '"') continue;
    if (text[i + 1] !== '"') return i + 1;
    i += 1;
  }
  return undefined;
}
