import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Caller } from '../../warehouse/serve/index.ts';
import {
  ALAN,
  ALAN_ACCOUNT,
  ALICE,
  ALICE_ACCOUNT,
  ALICE_SECOND_ACCOUNT,
  ALICE_SECOND_TAG,
  ALICE_TAG,
  BORIS,
  BORIS_ACCOUNT,
  BORIS_TAG,
  CANARY,
  CARLA,
  DATASETS,
  NO_ACCOUNT,
} from '../serve/support/gold.ts';
import { fetchReply, type Reply, startService, type TestService } from './support/service.ts';

let service: TestService;
before(async () => {
  service = await startService({ limits: { maxQueuedPerTenant: 100 } });
});
after(() => service.stop());

const QUERY = '/api/analytics/datasets/fct_transactions/query';

test('every path of every dataset gives a caller nothing of another tenant, another user or nobody', async () => {
  const paths = ['/api/analytics/status', '/api/analytics/datasets', '/openapi.json'];
  for (const { id } of DATASETS.filter((dataset) => dataset.id !== 'slow')) {
    paths.push(`/api/analytics/datasets/${id}/schema`);
    for (const format of ['json', 'ndjson', 'csv'])
      paths.push(`/api/analytics/datasets/${id}/query?limit=10000&format=${format}&total=true`);
  }
  for (const path of paths) {
    for (const caller of [ALICE, CARLA]) {
      const reply = await service.get(path, caller);
      assert.ok(!reply.text.includes(CANARY), `${path} tells ${caller.sub} the canary`);
      assert.ok(![...reply.headers].some(([, value]) => value.includes(CANARY)), path);
    }
  }
});

test('rows, counts and pages are the caller’s own, whole and no more', async () => {
  const alice = await service.get(`${QUERY}?limit=10000&total=true`, ALICE);
  assert.equal(alice.status, 200);
  assert.equal(alice.json['row_count'], 1_000);
  assert.equal(alice.json['total'], 1_000);
  assert.equal(alice.json['has_more'], false);
  assert.ok(alice.json.data?.every((row) => row['org_id'] === '1' && row['user_id'] === '11'));
  assert.equal((await service.get(`${QUERY}?limit=1&total=true`, ALAN)).json['total'], 1_000);
  assert.equal((await service.get(`${QUERY}?limit=1&total=true`, BORIS)).json['total'], 1_000);
});

test('a tenant without rows gets an empty page, not an error', async () => {
  const reply = await service.get(`${QUERY}?total=true`, CARLA);
  assert.equal(reply.status, 200);
  assert.deepEqual(
    [reply.json.data, reply.json['row_count'], reply.json['total'], reply.json['has_more']],
    [[], 0, 0, false],
  );
  assert.equal((await service.get(`${QUERY}?format=ndjson`, CARLA)).text, '');
  assert.match((await service.get(`${QUERY}?format=csv`, CARLA)).text, /^transaction_id,[a-z_,]+\r\n$/);
});

test('rows without an owner are visible to nobody', async () => {
  const accounts = await service.get('/api/analytics/datasets/dim_accounts/query', ALICE);
  assert.deepEqual(
    accounts.json.data?.map((row) => row['account_id']),
    [ALICE_ACCOUNT, ALICE_SECOND_ACCOUNT],
  );
  for (const claim of ['null', 'NULL', '', 'None', 'undefined']) {
    const reply = await service.get(QUERY, { ...ALICE, sub: claim });
    assert.ok(reply.status === 401 || reply.status === 403, `${claim}: ${reply.status}`);
  }
});

test('ids of others and ids of nothing get the same 403, byte for byte', async () => {
  const answers: Reply[] = [];
  for (const ids of [
    BORIS_ACCOUNT,
    ALAN_ACCOUNT,
    NO_ACCOUNT,
    `${ALICE_ACCOUNT},${BORIS_ACCOUNT}`,
    `${ALICE_ACCOUNT},${NO_ACCOUNT}`,
    '00000000-0000-4000-8000-00000000000c',
    BORIS_ACCOUNT.toUpperCase(),
  ]) {
    answers.push(await service.get(`${QUERY}?account_ids=${ids}`, ALICE));
  }
  answers.push(
    await service.get(`${QUERY}?tag_ids=${BORIS_TAG}`, ALICE),
    await service.get(`${QUERY}?tag_ids=${NO_ACCOUNT}`, ALICE),
  );
  for (const answer of answers) {
    assert.equal(answer.status, 403);
    assert.equal(answer.text, answers[0]?.text);
    assert.deepEqual(
      [...answer.headers.keys()].filter((name) => name !== 'date').sort(),
      [...(answers[0]?.headers.keys() ?? [])].filter((name) => name !== 'date').sort(),
    );
  }
});

test('ids of others and ids of nothing take the same time', async () => {
  const times = new Map<string, number[]>([
    [BORIS_ACCOUNT, []],
    [NO_ACCOUNT, []],
  ]);
  // In turn, so that whatever else the machine does falls on both.
  for (let round = 0; round < 45; round += 1) {
    for (const [ids, measured] of times) {
      const started = performance.now();
      await service.get(`${QUERY}?account_ids=${ids}`, ALICE);
      if (round >= 5) measured.push(performance.now() - started);
    }
  }
  const [exists = 0, nowhere = 0] = [...times.values()].map((measured) => measured.toSorted((a, b) => a - b)[20]);
  // Both run one and the same statement; a second statement or a shortcut would show as a multiple.
  assert.ok(Math.max(exists, nowhere) < Math.min(exists, nowhere) * 2 + 3, `${exists} ms and ${nowhere} ms`);
});

test('own ids filter, in any case and order, lists too', async () => {
  const one = await service.get(`${QUERY}?account_ids=${ALICE_ACCOUNT}&total=true`, ALICE);
  assert.equal(one.json['total'], 500);
  const both = await service.get(
    `${QUERY}?account_ids=${ALICE_SECOND_ACCOUNT.toUpperCase()},${ALICE_ACCOUNT},${ALICE_ACCOUNT}&total=true`,
    ALICE,
  );
  assert.equal(both.json['total'], 1_000);
  const tagged = await service.get(`${QUERY}?tag_ids=${ALICE_SECOND_TAG}&limit=10000`, ALICE);
  assert.equal(tagged.json['row_count'], 334);
  assert.ok(tagged.json.data?.every((row) => JSON.stringify(row['tag_ids']).includes(ALICE_SECOND_TAG)));
  const none = await service.get(
    `${QUERY}?tag_ids=${ALICE_TAG}&account_ids=${ALICE_ACCOUNT}&start_date=2027-01-01`,
    ALICE,
  );
  assert.deepEqual(none.json.data, []);
});

test('a claim that is not exactly a value of the owner column gets 403 and learns nothing', async () => {
  const claims = [
    '01',
    '+1',
    ' 1',
    '1 ',
    '1.0',
    '1e0',
    '0x1',
    '１',
    '-0',
    "1' or '1'='1",
    '1 OR 1=1--',
    '1;2',
    '9223372036854775808',
    '1\n',
    'true',
    '[1]',
    '{"a":1}',
    '1,2',
    '%',
    '1/**/',
    '99999999999999999999999999999999999999999',
  ];
  const bodies = new Set<string>();
  for (const claim of claims) {
    for (const caller of [
      { ...ALICE, orgId: claim },
      { ...ALICE, sub: claim },
    ] satisfies Caller[]) {
      const reply = await service.get(QUERY, caller);
      assert.equal(reply.status, 403, JSON.stringify(caller));
      assert.ok(!/org_id|user_id|BIGINT/.test(reply.text), reply.text);
      bodies.add(reply.text);
    }
  }
  assert.equal(bodies.size, 1);
});

test('no header and no parameter overrides the claim', async () => {
  const plain = await service.get(`${QUERY}?limit=3`, ALICE);
  const dressed = await service.get(`${QUERY}?limit=3`, ALICE, {
    'x-org': '2',
    'x-org-id': '2',
    'x-user-id': '21',
    'x-tenant-id': '2',
    'x-forwarded-user': '21',
    cookie: 'org_id=2; sub=21',
    'x-request-id': 'given by the client',
    'x-http-method-override': 'DELETE',
  });
  assert.equal(dressed.text, plain.text);
  for (const parameter of [
    'org_id=2',
    'user_id=21',
    'sub=21',
    'access_token=x',
    'tenant=2',
    'where=true',
    'sql=select+1',
    'filter=1%3D1',
    'sort=secret',
    '__proto__=1',
    'constructor=1',
  ]) {
    const reply = await service.get(`${QUERY}?${parameter}`, ALICE);
    assert.equal(reply.status, 400, parameter);
    assert.equal(reply.json['code'], 'QUERY_INVALID');
  }
});

test('an ETag serves its own caller only', async () => {
  const first = await service.get(`${QUERY}?limit=5`, ALICE);
  const tag = first.headers.get('etag') ?? '';
  assert.match(tag, /^"[\w-]{43}"$/);
  assert.equal(first.headers.get('cache-control'), 'private, no-cache');
  assert.match(first.headers.get('vary') ?? '', /Authorization/);
  for (const match of [tag, `W/${tag}`, `"other", ${tag}`]) {
    const again = await service.get(`${QUERY}?limit=5`, ALICE, { 'if-none-match': match });
    assert.equal(again.status, 304);
    assert.equal(again.text, '');
    assert.equal(again.headers.get('etag'), tag);
    assert.equal(again.headers.get('cache-control'), 'private, no-cache');
  }
  for (const caller of [ALAN, BORIS, CARLA]) {
    const other = await service.get(`${QUERY}?limit=5`, caller, { 'if-none-match': tag });
    assert.equal(other.status, 200);
    assert.notEqual(other.headers.get('etag'), tag);
  }
  for (const path of [
    `${QUERY}?limit=6`,
    `${QUERY}?limit=5&offset=1`,
    `${QUERY}?limit=5&format=csv`,
    `${QUERY}?limit=5&total=true`,
  ]) {
    assert.equal((await service.get(path, ALICE, { 'if-none-match': tag })).status, 200, path);
  }
  assert.equal((await service.get(`${QUERY}?limit=5`, ALICE, { 'if-none-match': '*' })).status, 200);
});

test('a tag cannot turn a 403 into a 304', async () => {
  const path = `${QUERY}?account_ids=${BORIS_ACCOUNT}`;
  const boris = await service.get(path, BORIS);
  assert.equal(boris.status, 200);
  const alice = await service.get(path, ALICE, { 'if-none-match': boris.headers.get('etag') ?? '' });
  assert.equal(alice.status, 403);
});

test('a hundred interleaved requests of two callers for one URL never cross', async () => {
  const replies = await Promise.all(
    Array.from({ length: 100 }, async (_, at) => {
      const caller = at % 2 === 0 ? ALICE : BORIS;
      return { caller, reply: await service.get(`${QUERY}?limit=20&offset=${at % 5}`, caller) };
    }),
  );
  for (const { caller, reply } of replies) {
    assert.equal(reply.status, 200, reply.text.slice(0, 200));
    assert.ok(reply.json.data?.every((row) => row['user_id'] === caller.sub));
  }
});

test('a public dataset is the same for all, but not for those without a token', async () => {
  const [alice, carla] = [
    await service.get('/api/analytics/datasets/currencies/query', ALICE),
    await service.get('/api/analytics/datasets/currencies/query', CARLA),
  ];
  assert.deepEqual(alice.json.data, [{ code: 'CHF' }, { code: 'EUR' }, { code: 'USD' }]);
  assert.deepEqual(carla.json.data, alice.json.data);
  assert.equal((await fetchReply(`${service.url}/api/analytics/datasets/currencies/query`)).status, 401);
});
