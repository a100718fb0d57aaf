import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ALICE, ALICE_ACCOUNT, ALICE_TAG } from '../serve/support/gold.ts';
import { startService, type TestService } from './support/service.ts';

let service: TestService;
before(async () => {
  service = await startService({ limits: { maxIds: 5 } });
});
after(() => service.stop());

const BASE = '/api/analytics/datasets';
const QUERY = `${BASE}/fct_transactions/query`;

test('a page names its release, its day, its columns and whether there is more', async () => {
  const { json, headers } = await service.get(`${QUERY}?limit=2&offset=2`, ALICE);
  assert.deepEqual(
    { ...json, data: json.data?.length },
    {
      dataset: 'fct_transactions',
      release: '20260101T000000Z-00000001',
      as_of: '2026-11-20',
      columns: service.serving.dataset('fct_transactions').columns.map(({ name, type }) => ({ name, type })),
      row_count: 2,
      limit: 2,
      offset: 2,
      has_more: true,
      data: 2,
    },
  );
  assert.equal(headers.get('x-has-more'), 'true');
  assert.equal(headers.get('content-type'), 'application/json; charset=utf-8');
});

test('values are exact: money, big integers and ids are texts, small integers are numbers, there is no NaN', async () => {
  const { json } = await service.get(`${QUERY}?limit=4`, ALICE);
  assert.deepEqual(json.data, [
    {
      transaction_id: '0',
      org_id: '1',
      user_id: '11',
      account_id: ALICE_ACCOUNT,
      booking_date: '2026-01-01',
      amount: '0.00',
      currency: 'EUR',
      description: null,
      tag_ids: [ALICE_TAG, '10000000-0000-4000-8000-000000000002'],
      small: null,
      ratio: 0,
      pending: true,
      created_at: '2026-01-01T00:00:00Z',
    },
    ...[4, 8, 12].map((id) => ({
      transaction_id: String(id),
      org_id: '1',
      user_id: '11',
      account_id: id === 8 ? ALICE_ACCOUNT : '00000000-0000-4000-8000-000000000002',
      booking_date: `2026-01-${String(id + 1).padStart(2, '0')}`,
      amount: (((id * 7919) % 1000003) / 100).toFixed(2),
      currency: id === 12 ? 'EUR' : 'USD',
      description: `first ${id}`,
      tag_ids: id === 12 ? [ALICE_TAG, '10000000-0000-4000-8000-000000000002'] : id === 4 ? [ALICE_TAG] : null,
      small: id,
      ratio: id === 12 ? 1.5 : null,
      pending: true,
      created_at: `2026-01-01T00:${String(id).padStart(2, '0')}:00Z`,
    })),
  ]);
});

test('limit is 1,000 when not given, at most 10,000, and never 0', async () => {
  assert.equal((await service.get(QUERY, ALICE)).json['limit'], 1_000);
  assert.equal((await service.get(`${QUERY}?limit=10000`, ALICE)).status, 200);
  for (const limit of [
    '10001',
    '0',
    '-1',
    '1.5',
    '1e3',
    '',
    ' 5',
    '0x10',
    'NaN',
    'Infinity',
    '99999999999999999999',
    '１',
    '+5',
    '05',
    'all',
    '5;drop table x',
  ]) {
    const reply = await service.get(`${QUERY}?limit=${encodeURIComponent(limit)}`, ALICE);
    assert.equal(reply.status, 400, limit);
    assert.equal(reply.json.errors?.[0]?.parameter, 'limit');
    assert.match(reply.json.errors?.[0]?.detail ?? '', /from 1 to 10000/);
  }
});

test('offset is 0 to 1,000,000', async () => {
  assert.deepEqual((await service.get(`${QUERY}?offset=1000000`, ALICE)).json.data, []);
  for (const offset of ['1000001', '-1', '', 'x'])
    assert.equal((await service.get(`${QUERY}?offset=${offset}`, ALICE)).status, 400, offset);
});

test('pages put together are all rows in key order, none twice', async () => {
  const ids: unknown[] = [];
  for (let offset = 0; ; offset += 170) {
    const { json } = await service.get(`${QUERY}?limit=170&offset=${offset}`, ALICE);
    ids.push(...(json.data ?? []).map((row) => row['transaction_id']));
    if (json['has_more'] === false) break;
  }
  assert.deepEqual(
    ids,
    Array.from({ length: 1_000 }, (_, at) => String(at * 4)),
  );
});

test('has_more is exact at the end', async () => {
  assert.equal((await service.get(`${QUERY}?limit=1000`, ALICE)).json['has_more'], false);
  assert.equal((await service.get(`${QUERY}?limit=999`, ALICE)).json['has_more'], true);
  assert.equal((await service.get(`${QUERY}?limit=10&offset=990`, ALICE)).json['has_more'], false);
});

test('days bound both ends included', async () => {
  const { json } = await service.get(`${QUERY}?start_date=2026-01-05&end_date=2026-01-09&total=true&limit=1`, ALICE);
  const expected = Array.from({ length: 1_000 }, (_, at) => (at * 4) % 365).filter(
    (day) => day >= 4 && day <= 8,
  ).length;
  assert.equal(json['total'], expected);
  assert.ok(expected > 0);
});

test('bad dates, ids and orders are named all at once', async () => {
  for (const date of [
    '2026-02-30',
    '2026-13-01',
    '2025-02-29',
    '20260101',
    '2026-1-1',
    '01.01.2026',
    'today',
    '',
    '0000-01-01',
    '2026-01-01T00:00:00Z',
    "2026-01-01'--",
  ]) {
    const reply = await service.get(`${QUERY}?start_date=${encodeURIComponent(date)}`, ALICE);
    assert.equal(reply.status, 400, date);
    assert.match(reply.json.errors?.[0]?.detail ?? '', /YYYY-MM-DD/);
  }
  assert.equal(
    (await service.get(`${QUERY}?start_date=2026-02-02&end_date=2026-02-01`, ALICE)).json.errors?.[0]?.parameter,
    'end_date',
  );
  const all = await service.get(
    `${QUERY}?start_date=x&end_date=y&account_ids=z&limit=0&offset=-1&total=yes&format=xml&limitt=1`,
    ALICE,
  );
  assert.equal(all.status, 400);
  assert.deepEqual(
    all.json.errors?.map((problem) => problem.parameter),
    ['start_date', 'end_date', 'account_ids', 'limit', 'offset', 'total', 'format', 'limitt'],
  );
  assert.match(all.json.errors?.at(-1)?.detail ?? '', /did you mean limit\?/);
});

test('ids must be ids, at least one and at most so many', async () => {
  for (const ids of [
    '',
    ',',
    `${ALICE_ACCOUNT},`,
    'null',
    `${ALICE_ACCOUNT}x`,
    `{${ALICE_ACCOUNT}}`,
    ALICE_ACCOUNT.replaceAll('-', ''),
    `${ALICE_ACCOUNT}' or true--`,
    Array(6).fill(ALICE_ACCOUNT).join(','),
  ]) {
    assert.equal((await service.get(`${QUERY}?account_ids=${encodeURIComponent(ids)}`, ALICE)).status, 400, ids);
  }
});

test('a parameter given twice is refused, whatever its values', async () => {
  for (const query of [
    'limit=1&limit=1',
    `account_ids=${ALICE_ACCOUNT}&account_ids=${ALICE_ACCOUNT}`,
    'limit=1&%6cimit=2',
  ]) {
    const reply = await service.get(`${QUERY}?${query}`, ALICE);
    assert.equal(reply.status, 400, query);
    assert.match(reply.json.errors?.[0]?.detail ?? '', /more than once/);
  }
});

test('a parameter of another dataset is unknown here', async () => {
  const reply = await service.get(`${BASE}/dim_tags/query?start_date=2026-01-01`, ALICE);
  assert.equal(reply.status, 400);
  assert.match(reply.json.errors?.[0]?.detail ?? '', /not a parameter of dim_tags/);
});

test('hostile values are values: they bind or are refused, and never run', async () => {
  const hostile = [
    "' or 1=1 --",
    "'; drop table fct_transactions; --",
    '$1',
    '?',
    "\\'",
    '%00',
    '\u0000',
    '\ud800',
    '%',
    '_',
    '{{1}}',
    '/**/',
    '🐷'.repeat(50),
    'x'.repeat(5_000),
    '"',
    "select * from read_text('/etc/passwd')",
    'CAST(1 AS BIGINT)',
  ];
  for (const value of hostile) {
    for (const name of ['start_date', 'account_ids', 'limit', 'format', value]) {
      const written = value.isWellFormed() ? encodeURIComponent(value) : '%ED%A0%80';
      const reply = await service.get(`${QUERY}?${name === value ? written : name}=${written}`, ALICE);
      assert.equal(reply.status, 400, `${name}=${value.slice(0, 40)}`);
      assert.equal(reply.headers.get('content-type'), 'application/problem+json');
      assert.ok(!/duckdb|\.ts:|Error:|root|Binder|Parser|"gold"/.test(reply.text), reply.text);
    }
    const path = `${BASE}/${encodeURIComponent(value.isWellFormed() ? value : 'x')}/query`;
    assert.equal((await service.get(path, ALICE)).status, 404, path);
  }
  assert.equal((await service.get(`${QUERY}?limit=1&total=true`, ALICE)).json['total'], 1_000);
});

test('names of tables and functions of the engine are no datasets', async () => {
  for (const name of [
    'base',
    'duckdb_tables',
    'duckdb_settings',
    'information_schema.tables',
    'gold.main.base',
    'pragma_storage_info',
    'sqlite_master',
    'fct_transactions"',
    'FCT_TRANSACTIONS',
    '__proto__',
    'constructor',
    'toString',
    '..',
    '.',
    '%2e%2e',
    'fct_transactions%00',
    'fct_transactions ',
  ]) {
    for (const what of ['schema', 'query']) {
      const reply = await service.get(`${BASE}/${name}/${what}`, ALICE);
      assert.equal(reply.status, 404, `${name}/${what}`);
      assert.equal(reply.headers.get('content-type'), 'application/problem+json');
    }
  }
});

test('answers in JSON, NDJSON or CSV by Accept, the parameter wins, and other formats get 406', async () => {
  const types = async (accept: string, query = ''): Promise<string | null> =>
    (await service.get(`${QUERY}?limit=1${query}`, ALICE, { accept })).headers.get('content-type');
  assert.equal(await types('text/csv'), 'text/csv; charset=utf-8');
  assert.equal(await types('application/x-ndjson'), 'application/x-ndjson; charset=utf-8');
  assert.equal(await types('text/csv;q=0.5, application/json'), 'application/json; charset=utf-8');
  assert.equal(await types('text/html, */*;q=0.1'), 'application/json; charset=utf-8');
  assert.equal(await types('application/json', '&format=csv'), 'text/csv; charset=utf-8');
  const refused = await service.get(QUERY, ALICE, { accept: 'application/xml, text/csv;q=0' });
  assert.equal(refused.status, 406);
  assert.equal(refused.headers.get('content-type'), 'application/problem+json');
});

test('NDJSON and CSV hold the rows of the JSON page', async () => {
  const page = await service.get(`${QUERY}?limit=200`, ALICE);
  const lines = await service.get(`${QUERY}?limit=200&format=ndjson`, ALICE);
  assert.deepEqual(
    lines.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
    page.json.data,
  );
  assert.equal(lines.headers.get('x-has-more'), 'true');
  assert.equal(lines.headers.get('x-row-count'), '200');
  const csv = await service.get(`${QUERY}?limit=200&format=csv`, ALICE);
  const rows = parseCsv(csv.text);
  const names = service.serving.dataset('fct_transactions').columns.map((column) => column.name);
  assert.deepEqual(rows[0], names);
  assert.deepEqual(
    rows.slice(1),
    page.json.data?.map((row) =>
      names.map((name) =>
        row[name] === null ? '' : typeof row[name] === 'string' ? row[name] : JSON.stringify(row[name]),
      ),
    ),
  );
});

test('the schema answer says types, parameters and their bounds, and holds no rows', async () => {
  const { status, json } = await service.get(`${BASE}/fct_transactions/schema`, ALICE);
  assert.equal(status, 200);
  assert.deepEqual(
    (json['parameters'] as { name: string }[]).map((parameter) => parameter.name),
    ['start_date', 'end_date', 'account_ids', 'tag_ids', 'limit', 'offset', 'total', 'format'],
  );
  assert.deepEqual(
    (json['columns'] as { name: string }[]).find((column) => column.name === 'amount'),
    {
      name: 'amount',
      type: 'DECIMAL(18,2)',
      description: null,
      json: { type: ['string', 'null'], pattern: '^-?[0-9]+\\.[0-9]{2}$' },
    },
  );
});

test('the OpenAPI document describes what is served, and real answers fit its row types', async () => {
  const { json } = await service.get('/openapi.json', ALICE);
  assert.equal(json['openapi'], '3.1.0');
  const paths = json['paths'] as Record<string, { get?: { parameters?: { name: string }[] } }>;
  assert.deepEqual(
    paths[QUERY]?.get?.parameters?.map((parameter) => parameter.name),
    ['start_date', 'end_date', 'account_ids', 'tag_ids', 'limit', 'offset', 'total', 'format'],
  );
  assert.equal(paths['/api/analytics/refresh'], undefined);
  const { schemas } = json['components'] as {
    schemas: Record<string, { properties: Record<string, { type: string[]; pattern?: string }> }>;
  };
  const rows = (await service.get(QUERY, ALICE)).json.data ?? [];
  assert.equal(rows.length, 1_000);
  const row = schemas['fct_transactions']?.properties ?? {};
  for (const given of rows) {
    assert.deepEqual(Object.keys(given), Object.keys(row));
    for (const [name, value] of Object.entries(given)) {
      const type =
        value === null
          ? 'null'
          : Array.isArray(value)
            ? 'array'
            : Number.isInteger(value) && row[name]?.type.includes('integer')
              ? 'integer'
              : typeof value;
      assert.ok(row[name]?.type.includes(type), `${name}: ${JSON.stringify(value)}`);
      if (typeof value === 'string' && row[name]?.pattern !== undefined)
        assert.match(value, new RegExp(row[name].pattern));
    }
  }
});

/** An independent reader of RFC 4180. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [[]];
  for (let at = 0; at < text.length; ) {
    const row = rows.at(-1) ?? [];
    let field = '';
    if (text[at] === '"') {
      for (at += 1; ; at += 1) {
        if (text[at] !== '"') field += text[at];
        else if (text[at + 1] === '"') {
          field += '"';
          at += 1;
        } else break;
      }
      at += 1;
    } else {
      while (at < text.length && text[at] !== ',' && text[at] !== '\r') {
        field += text[at];
        at += 1;
      }
    }
    row.push(field);
    if (text[at] === ',') at += 1;
    else {
      at += 2;
      if (at < text.length) rows.push([]);
    }
  }
  return rows;
}
