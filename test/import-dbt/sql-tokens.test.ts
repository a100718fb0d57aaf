import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adaptSql } from '../../import-dbt/adapt-sql.ts';
import { readSqlTokens } from '../../import-dbt/sql-tokens.ts';

const adapted = (text: string) => adaptSql({ text, origins: [] }).sql.text;

test('the tokens of a text, in order, with the place of each', () => {
  const sql = `select a.b::int /* c */ from "t "" u" where x$1 >= 1.5e3 and y <> 'it''s' -- d\n`;
  const tokens = readSqlTokens(sql);
  assert.equal(
    tokens.map(({ kind, text }) => `${kind} ${text}`).join('|'),
    'word select|word a|sign .|word b|sign ::|word int|comment /* c */|word from|quoted "t "" u"|word where|word x$1|' +
      "sign >=|number 1.5e3|word and|word y|sign <>|string 'it''s'|comment -- d",
  );
  for (const { text, start, end } of tokens) assert.equal(sql.slice(start, end), text);
});

test('what stands in strings, quoted names and comments stays as it is', () => {
  for (const kept of [
    "'it''s a / b'",
    String.raw`E'it\'s a / b'`,
    '$$ a / b $$',
    "$t$ it's $$ a / b $t$",
    '"a / b"',
    '/* a /* nested */ b / c */ 1',
    '-- it\'s " a / b\n1',
  ])
    assert.equal(adapted(`select ${kept} as x, n / 2 as half`), `select ${kept} as x, n / 2::double as half`);
});

test('a name may hold dollars, and a comment may follow an operator', () => {
  assert.equal(adapted('select a$b$ / 2, b$b$ / 3'), 'select a$b$ / 2::double, b$b$ / 3::double');
  assert.equal(adapted('select 2 */* a / b */ n'), 'select 2 */* a / b */ n');
});
