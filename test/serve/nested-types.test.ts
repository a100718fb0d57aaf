import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DuckDBInstance } from '../../warehouse/core/duckdb-bindings.ts';
import { jsonColumns } from '../../warehouse/serve/answer-text.ts';
import { jsonSchemaOf, parseColumnType, sqlOfType } from '../../warehouse/serve/column-type.ts';
import { csvField } from '../../warehouse/serve/csv-field.ts';

/** Type, a value in SQL, what leaves as JSON, what leaves as CSV. */
const CASES: readonly (readonly [type: string, sql: string, json: unknown, csv: string])[] = [
  ['INTEGER[]', '[1, null, -2]', [1, null, -2], '"[1,null,-2]"'],
  ['DOUBLE[]', "['nan'::double, 0.5]", [null, 0.5], '"[null,0.5]"'],
  ['VARCHAR[]', `['a"b', '']`, ['a"b', ''], String.raw`"[""a\""b"",""""]"`],
  ['BIGINT[][]', '[[1], []]', [['1'], []], '"[[""1""],[]]"'],
  ['TIME', "'23:59:59.5'", '23:59:59.5', '23:59:59.5'],
  ['TIME[]', "['24:00:00'::time]", ['24:00:00'], '"[""24:00:00""]"'],
  ['UINTEGER', '4294967295', 4294967295, '4294967295'],
  ['UBIGINT', '18446744073709551615', '18446744073709551615', '18446744073709551615'],
  ['BLOB', "unhex('00FF0A0D22')", 'AP8KDSI=', 'AP8KDSI='],
  ['BLOB', "''::blob", '', '""'],
  [
    'STRUCT("months" INTEGER, "days" INTEGER, micros BIGINT)',
    '{months: 1, days: -2, micros: 9007199254740993}',
    { months: 1, days: -2, micros: '9007199254740993' },
    '"{""months"":1,""days"":-2,""micros"":""9007199254740993""}"',
  ],
  [
    'STRUCT(t TIME, offset_s INTEGER)',
    "{t: '10:00:00', offset_s: null}",
    { t: '10:00:00', offset_s: null },
    '"{""t"":""10:00:00"",""offset_s"":null}"',
  ],
  [
    'STRUCT("a ""q"", (x" DECIMAL(4,2), b STRUCT(c VARCHAR[]))[]',
    `[{'a "q", (x': 1.5, b: {c: ['y']}}]`,
    [{ 'a "q", (x': '1.50', b: { c: ['y'] } }],
    '"[{""a \\""q\\"", (x"":""1.50"",""b"":{""c"":[""y""]}}]"',
  ],
];

test('lists, structs, bytes and times leave exactly, and NULL as null', async () => {
  const connection = await (await DuckDBInstance.create()).connect();
  for (const [printed, sql, json, csv] of CASES) {
    const type = parseColumnType(printed);
    const result = await connection.run(`select unnest([(${sql})::${sqlOfType(type)}, null]) as value`);
    assert.deepEqual(parseColumnType(result.columnType(0).toString()), type, printed);
    const [[value, missing] = []] = jsonColumns(result.getChunk(0), [{ type }]);
    assert.deepEqual(JSON.parse(JSON.stringify(value)), json, printed);
    assert.equal(missing, null);
    assert.equal(csvField(value ?? null), csv, printed);
    assert.ok(['array', 'object', 'string', 'integer'].includes((jsonSchemaOf(type)['type'] as string[])[0] ?? ''));
  }
  connection.closeSync();
});

test('a struct with a field of a type that is not known leaves as the text of DuckDB', () => {
  for (const printed of ['STRUCT(a INTERVAL)', 'MAP(VARCHAR, INTEGER)', 'STRUCT(a INTEGER', 'INTERVAL[]', 'STRUCT(a)'])
    assert.equal(parseColumnType(printed).kind, 'other', printed);
});
