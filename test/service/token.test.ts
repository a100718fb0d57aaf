import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { after, before, test } from 'node:test';
import { createTokenVerifier, mintToken } from '../../service/index.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { ALICE } from '../serve/support/gold.ts';
import { fetchReply, type Reply, SECRET, sendRaw, startService, type TestService } from './support/service.ts';

let service: TestService;
before(async () => {
  service = await startService();
});
after(() => service.stop());

const PATH = '/api/analytics/datasets';
const now = (): number => Math.floor(Date.now() / 1_000);
const claims = () => ({ sub: '11', org_id: '1', role: 'viewer', exp: now() + 600 });

function encode(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

function token(header: unknown, payload: unknown, secret: string | undefined = SECRET, digest = 'sha256'): string {
  const signed = `${encode(header)}.${encode(payload)}`;
  return `${signed}.${secret === undefined ? '' : createHmac(digest, secret).update(signed).digest('base64url')}`;
}

async function ask(authorization: string): Promise<Reply> {
  return fetchReply(`${service.url}${PATH}`, { headers: { authorization } });
}

async function refused(authorization: string, why: string): Promise<Reply> {
  const reply = await ask(authorization);
  assert.equal(reply.status, 401, why);
  assert.equal(reply.headers.get('content-type'), 'application/problem+json', why);
  assert.match(reply.headers.get('www-authenticate') ?? '', /^Bearer realm="sluice"/, why);
  assert.equal(reply.headers.get('cache-control'), 'no-store', why);
  assert.equal(reply.json['code'], 'UNAUTHENTICATED', why);
  return reply;
}

const HS256 = { alg: 'HS256', typ: 'JWT' };

test('accepts a token made by mintToken', async () => {
  const made = await mintToken({ secret: SECRET, sub: '11', orgId: '1', role: 'viewer', ttlSeconds: 60 });
  assert.equal((await ask(`Bearer ${made}`)).status, 200);
  assert.equal((await ask(`bearer ${made}`)).status, 200);
  assert.equal((await ask(`Bearer ${token(HS256, claims())}`)).status, 200);
});

test('refuses requests without a token, with another scheme or with two', async () => {
  assert.equal((await fetchReply(`${service.url}${PATH}`)).status, 401);
  const good = token(HS256, claims());
  for (const header of [
    '',
    'Bearer',
    'Bearer ',
    'Basic YTpi',
    good,
    `Bearer ${good}, Bearer ${good}`,
    `Bearer ${good} ${good}`,
    'Bearer a.b.c',
    'Bearer ..',
    `Bearer ${good}.x`,
  ]) {
    await refused(header, header.slice(0, 30));
  }
  const twice = await sendRaw(
    service.port,
    `GET ${PATH} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${good}\r\nAuthorization: Bearer ${good}\r\nConnection: close\r\n\r\n`,
  );
  assert.match(twice, /^HTTP\/1\.1 401 /);
});

test('refuses forged tokens: no algorithm, another algorithm, another secret, an edited payload', async () => {
  for (const alg of ['none', 'None', 'NONE', 'nOnE', '', null, 'HS384', 'HS512', 'RS256', 'ES256', 'EdDSA', 'dir']) {
    await refused(`Bearer ${token({ ...HS256, alg }, claims(), undefined)}x`, `alg ${alg}`);
    await refused(`Bearer ${token({ ...HS256, alg }, claims())}`, `alg ${alg} signed`);
  }
  await refused(`Bearer ${token({ alg: 'none' }, claims(), undefined)}`, 'alg none, empty signature');
  await refused(`Bearer ${token({ alg: 'HS384' }, claims(), SECRET, 'sha384')}`, 'rightly signed with HS384');
  await refused(`Bearer ${token({ alg: 'HS512' }, claims(), SECRET, 'sha512')}`, 'rightly signed with HS512');
  await refused(`Bearer ${token(HS256, claims(), 'another secret that is long enough too')}`, 'another secret');
  const [header, , signature] = token(HS256, claims()).split('.');
  await refused(`Bearer ${header}.${encode({ ...claims(), org_id: '2', sub: '21' })}.${signature}`, 'edited payload');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const signed = `${encode({ alg: 'RS256' })}.${encode(claims())}`;
  await refused(
    `Bearer ${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`,
    'RS256 by a stranger',
  );
  await refused(`Bearer ${token({ ...HS256, crit: ['x'], x: 1 }, claims())}`, 'unknown critical header');
});

test('refuses expired tokens, tokens of the future and tokens without an end', async () => {
  const expired = await refused(`Bearer ${token(HS256, { ...claims(), exp: now() - 1 })}`, 'expired');
  assert.match(String(expired.json['detail']), /expired/);
  await refused(`Bearer ${token(HS256, { ...claims(), nbf: now() + 60 })}`, 'not yet');
  const { exp: _exp, ...endless } = claims();
  await refused(`Bearer ${token(HS256, endless)}`, 'no exp');
  for (const exp of ['9999999999', null, true, {}, Number.NaN])
    await refused(`Bearer ${token(HS256, { ...claims(), exp })}`, `exp ${JSON.stringify(exp)}`);
});

test('refuses tokens whose claims are missing or not texts', async () => {
  for (const name of ['sub', 'org_id', 'role'] as const) {
    for (const value of [undefined, null, '', 1, true, ['1'], { a: 1 }, 'x'.repeat(201)]) {
      await refused(
        `Bearer ${token(HS256, { ...claims(), [name]: value })}`,
        `${name} = ${JSON.stringify(value)?.slice(0, 20)}`,
      );
    }
  }
  for (const payload of ['', 'null', '[]', '"x"', '{', '{"sub":'])
    await refused(`Bearer ${token(HS256, payload)}`, `payload ${payload}`);
});

test('a claim of a megabyte is refused before it is read', async () => {
  const huge = token(HS256, { ...claims(), org_id: 'x'.repeat(1_000_000) });
  const said = await sendRaw(
    service.port,
    `GET ${PATH} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${huge}\r\n\r\n`,
  ).catch(() => 'reset');
  assert.match(said, /^(HTTP\/1\.1 431 |reset)/);
  await refused(`Bearer ${token(HS256, { ...claims(), role: 'x'.repeat(7_000) })}`, 'token of 9 KB');
});

test('of a key given twice in the payload no reading gives two tenants', async () => {
  const reply = await ask(
    `Bearer ${token(HS256, `{"sub":"11","org_id":"1","org_id":"2","role":"viewer","exp":${now() + 600}}`)}`,
  );
  assert.equal(reply.status, 200);
  const verify = createTokenVerifier({ secret: SECRET });
  const caller = await verify(
    token(HS256, `{"sub":"11","org_id":"1","org_id":"2","role":"viewer","exp":${now() + 600}}`),
  );
  assert.equal(caller.orgId, '2');
});

test('refusals do not say which part of a token was wrong beyond its expiry', async () => {
  const bodies = new Set<string>();
  bodies.add((await ask(`Bearer ${token(HS256, claims(), 'another secret that is long enough too')}`)).text);
  bodies.add((await ask(`Bearer ${token({ alg: 'none' }, claims(), undefined)}`)).text);
  bodies.add((await ask('Bearer a.b.c')).text);
  assert.equal(bodies.size, 1);
});

test('a secret of less than 32 characters is a configuration error', async () => {
  assert.throws(
    () => createTokenVerifier({ secret: 'short' }),
    (error) => isSluiceError(error, 'CONFIG_INVALID') && !error.message.includes('short'),
  );
  await assert.rejects(mintToken({ secret: 'short', ...ALICE, ttlSeconds: 1 }), (error) =>
    isSluiceError(error, 'CONFIG_INVALID'),
  );
});

test('the role of a caller widens nothing', async () => {
  for (const role of ['admin', 'superuser', 'service_role', '*']) {
    const reply = await service.get('/api/analytics/datasets/fct_transactions/query?limit=10000&total=true', {
      ...ALICE,
      role,
    });
    assert.equal(reply.json['total'], 1_000, role);
  }
});
