import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DuckDBInstance } from '../../warehouse/core/duckdb-bindings.ts';
import { fitValue, parseColumnType, sqlOfType } from '../../warehouse/serve/column-type.ts';

test('takes exactly the values of a type', () => {
  const cases: readonly (readonly [type: string, fits: readonly string[], not: readonly string[]])[] = [
    ['TINYINT', ['-128', '127', '0'], ['-129', '128', '-0', '00', '+1', '1.0', '', ' 1']],
    [
      'BIGINT',
      ['9223372036854775807', '-9223372036854775808'],
      ['9223372036854775808', '-9223372036854775809', '1e3', '0x1', '1_000', '1n', '٣'],
    ],
    ['UBIGINT', ['18446744073709551615', '0'], ['18446744073709551616', '-1']],
    [
      'HUGEINT',
      ['170141183460469231731687303715884105727'],
      ['170141183460469231731687303715884105728', '9'.repeat(60)],
    ],
    ['DECIMAL(4,2)', ['99.99', '-0.1', '0', '12', '0.50'], ['100', '0.001', '.5', '1.', '+1', '1e1', '00.1', 'NaN']],
    ['DECIMAL(2,2)', ['0.99', '0'], ['1', '1.00']],
    [
      'UUID',
      ['00000000-0000-4000-8000-00000000000A'],
      [
        '00000000000040008000000000000000',
        '{00000000-0000-4000-8000-000000000000}',
        '00000000-0000-4000-8000-00000000000g',
        '',
      ],
    ],
    [
      'DATE',
      ['2024-02-29', '0001-01-01', '9999-12-31'],
      ['2023-02-29', '0000-01-01', '10000-01-01', 'infinity', '2024-02-29 ', '2024-2-9', 'epoch', 'today'],
    ],
    [
      'TIMESTAMP',
      ['2024-02-29T23:59:59', '2024-02-29T23:59:59.123456'],
      [
        '2024-02-29T24:00:00',
        '2024-02-29',
        '2024-02-29T23:59:59Z',
        '2024-02-29T23:59:60',
        '2024-02-29T23:59:59.1234567',
      ],
    ],
    [
      'TIMESTAMP WITH TIME ZONE',
      ['2024-02-29T23:59:59Z', '2024-02-29T23:59:59.1+05:45'],
      ['2024-02-29T23:59:59', '2024-02-29T23:59:59+99:00', '2024-02-29T23:59:59 Europe/Berlin'],
    ],
    ['BOOLEAN', ['true', 'false'], ['TRUE', '1', 't', '']],
    ['DOUBLE', ['1', '-0.5', '1e300'], ['NaN', 'Infinity', '1e999', '0x1', '', '1,5']],
    ['VARCHAR', ['', 'x', '🐷', "'"], ['a\0b', '\ud800', 'x'.repeat(5_000)]],
    ['UUID[]', [], ['00000000-0000-4000-8000-000000000000', '[]']],
    ['STRUCT(a INTEGER)', [], ['{}']],
  ];
  for (const [printed, fits, not] of cases) {
    const type = parseColumnType(printed);
    for (const text of fits)
      assert.equal(fitValue(type, text), printed === 'UUID' ? text.toLowerCase() : text, `${printed} takes ${text}`);
    for (const text of not) assert.equal(fitValue(type, text), undefined, `${printed} refuses ${text}`);
  }
});

test('whatever fits, DuckDB casts without an error and without rounding', async () => {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    const kinds = [
      'TINYINT',
      'INTEGER',
      'BIGINT',
      'UBIGINT',
      'HUGEINT',
      'DECIMAL(18,2)',
      'DECIMAL(38,6)',
      'DECIMAL(3,3)',
      'UUID',
      'DATE',
      'TIMESTAMP',
      'TIMESTAMP WITH TIME ZONE',
      'BOOLEAN',
      'DOUBLE',
    ];
    const numeric = fc.oneof(
      fc.bigInt({ min: -(2n ** 128n), max: 2n ** 128n }).map(String),
      fc.double().map(String),
      fc.stringMatching(/^-?[0-9]{1,20}(\.[0-9]{1,7})?$/),
    );
    const dated = fc.oneof(
      fc
        .tuple(fc.integer({ min: -1, max: 10_001 }), fc.integer({ min: 0, max: 13 }), fc.integer({ min: 0, max: 32 }))
        .map(([y, m, d]) =>
          [String(y).padStart(4, '0'), String(m).padStart(2, '0'), String(d).padStart(2, '0')].join('-'),
        ),
      fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
      fc.date({ noInvalidDate: true }).map((date) => date.toISOString().slice(0, 19)),
    );
    const texts = fc.oneof(numeric, dated, fc.uuid(), fc.string(), fc.constantFrom('true', 'false'));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...kinds), texts, async (printed, text) => {
        const type = parseColumnType(printed);
        const fitted = fitValue(type, text);
        fc.pre(fitted !== undefined);
        const prepared = await connection.prepare(`select cast($1 as ${sqlOfType(type)})::varchar as value`);
        prepared.bind([fitted]);
        const [row] = await (await prepared.run()).getRowObjectsJson();
        prepared.destroySync();
        const value = row?.['value'] as string;
        if (type.kind === 'integer') assert.equal(value, fitted);
        if (type.kind === 'decimal') assert.equal(trimmed(value), trimmed(fitted));
        if (type.kind === 'uuid' || type.kind === 'date') assert.equal(value, fitted);
      }),
      { numRuns: 400, maxSkipsPerRun: 200 },
    );
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
});

/** One spelling per number; DuckDB writes DECIMAL(3,3) as .500. */
function trimmed(decimal: string): string {
  const whole = decimal.replace(/^(-?)\./, (_, sign: string) => `${sign}0.`);
  const text = whole.includes('.') ? whole.replace(/\.?0+$/, '') : whole;
  return text === '-0' ? '0' : text;
}
