import type { Origin, Rendered } from './jinja/index.ts';
import { closingOf, endOfOperand, isSign, readSqlTokens, type SqlToken } from './sql-tokens.ts';

/** SQL that Sluice refuses because its result is not exact or not repeatable, written so that it is taken: each change is told. */

export interface Adaptation {
  readonly sql: Rendered;
  readonly changes: readonly { readonly offset: number; readonly what: string; readonly remedy: string }[];
  /** True when the clock was replaced by as_of(). */
  readonly usesAsOf: boolean;
}

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const CLOCK: Readonly<Record<string, string>> = {
  current_date: 'as_of()',
  today: 'as_of()',
  current_timestamp: 'as_of()::timestamp',
  localtimestamp: 'as_of()::timestamp',
  now: 'as_of()::timestamp',
  get_current_timestamp: 'as_of()::timestamp',
};
const CALLED_ONLY = new Set(['today', 'now', 'get_current_timestamp']);

/** A snapshot's columns by dbt's names. */
const SNAPSHOT_COLUMNS: Readonly<Record<string, string>> = { dbt_valid_from: 'valid_from', dbt_valid_to: 'valid_to' };

export function adaptSql(rendered: Rendered, options: { readonly readsSnapshot?: boolean } = {}): Adaptation {
  const tokens = readSqlTokens(rendered.text).filter((token) => token.kind !== 'comment');
  const edits: Edit[] = [];
  const changes: { offset: number; what: string; remedy: string }[] = [];
  let usesAsOf = false;
  tokens.forEach((token, i) => {
    if (token.kind === 'sign' && token.text === '/') {
      const edit = castDivisor(tokens, i);
      if (edit === undefined) return;
      edits.push(edit);
      const what = 'the divisor of `/` is cast to double, which DuckDB does silently: the same value';
      changes.push({ offset: token.start, what, remedy: 'ratio(n, d) gives an exact DECIMAL(18,6).' });
      return;
    }
    const renamed =
      token.kind === 'word' && options.readsSnapshot === true && SNAPSHOT_COLUMNS[token.text.toLowerCase()];
    if (renamed) {
      edits.push({ start: token.start, end: token.end, text: renamed });
      changes.push({ offset: token.start, what: `${token.text} is ${renamed}`, remedy: '' });
      return;
    }
    if (token.kind !== 'word' || isSign(tokens[i - 1], '.') || isSign(tokens[i + 1], '.')) return;
    const word = token.text.toLowerCase();
    const isCalled = isSign(tokens[i + 1], '(');
    if (word === 'avg' && isCalled) {
      const exact = makeMean(tokens, i, edits);
      changes.push({
        offset: token.start,
        what: exact ? 'avg(x) is mean(x): DECIMAL(18,6) in place of DOUBLE' : 'the argument of avg is cast to double',
        remedy: exact ? 'Write avg(x::double) where more than six decimal places matter.' : '',
      });
    }
    const clock = Object.hasOwn(CLOCK, word) ? CLOCK[word] : undefined;
    if (clock === undefined || (CALLED_ONLY.has(word) && !isCalled)) return;
    // `as current_date` names a column.
    const before = tokens[i - 1];
    if (before?.kind === 'word' && before.text.toLowerCase() === 'as') return;
    const end = isCalled ? (tokens[closingOf(tokens, i + 1)]?.end ?? token.end) : token.end;
    edits.push({ start: token.start, end, text: clock });
    usesAsOf = true;
    const what = `${word} is ${clock}: the logical date of the run, a whole day`;
    changes.push({ offset: token.start, what, remedy: 'Look whether a day is fine enough.' });
  });
  return { sql: applyEdits(rendered, edits), changes, usesAsOf: usesAsOf || /\bas_of\s*\(/.test(rendered.text) };
}

const DOUBLE = /^(double|float8?|real)$/i;

function castDivisor(tokens: readonly SqlToken[], slash: number): Edit | undefined {
  const end = endOfOperand(tokens, slash + 1);
  const last = tokens[end];
  if (last === undefined || end <= slash) return undefined;
  const isDouble = (i: number) => isSign(tokens[i - 1], '::') && DOUBLE.test(tokens[i]?.text ?? '');
  if (isDouble(end) || isDouble(slash - 1)) return undefined;
  return { start: last.end, end: last.end, text: '::double' };
}

/** avg(x) as mean(x) where it is a plain aggregate; elsewhere its argument becomes a double. True for the first. */
function makeMean(tokens: readonly SqlToken[], at: number, edits: Edit[]): boolean {
  const close = closingOf(tokens, at + 1);
  const open = tokens[at + 1];
  const [name, end] = [tokens[at], tokens[close]];
  if (name === undefined || open === undefined || end === undefined) return false;
  const after = tokens[close + 1]?.text.toLowerCase();
  const first = tokens[at + 2];
  const isDistinct = first?.text.toLowerCase() === 'distinct';
  if (!isDistinct && after !== 'over' && after !== 'filter') {
    edits.push({ start: name.start, end: name.end, text: 'mean' });
    return true;
  }
  const from = isDistinct && first !== undefined ? first.end : open.end;
  edits.push(
    { start: from, end: from, text: `${isDistinct ? ' ' : ''}cast(` },
    { start: end.start, end: end.start, text: ' as double)' },
  );
  return false;
}

/** The text with edits that do not overlap; every part still knows where it comes from. */
export function applyEdits(rendered: Rendered, edits: readonly Edit[]): Rendered {
  let text = '';
  let done = 0;
  const origins: Origin[] = [];
  const copy = (to: number): void => {
    for (const origin of originsWithin(rendered, done, to)) {
      origins.push({ ...origin, from: origin.from - done + text.length });
    }
    text += rendered.text.slice(done, to);
    done = to;
  };
  for (const edit of [...edits].sort((a, b) => a.start - b.start || a.end - b.end)) {
    if (edit.start < done) continue;
    copy(edit.start);
    origins.push({ from: text.length, at: originOf(rendered, edit.start), exact: false });
    text += edit.text;
    done = edit.end;
  }
  copy(rendered.text.length);
  return { text, origins };
}

/** Offset in the template that an offset of the text comes from. */
export function originOf(rendered: Rendered, offset: number): number {
  const origin = rendered.origins.findLast(({ from }) => from <= offset) ?? rendered.origins[0];
  if (origin === undefined) return 0;
  return origin.exact ? origin.at + Math.max(0, offset - origin.from) : origin.at;
}

function originsWithin(rendered: Rendered, from: number, to: number): Origin[] {
  if (from >= to) return [];
  const first = rendered.origins.findLast((origin) => origin.from <= from);
  const start =
    first === undefined ? [] : [{ ...first, from, at: first.exact ? first.at + from - first.from : first.at }];
  return [...start, ...rendered.origins.filter((origin) => origin.from > from && origin.from < to)];
}
