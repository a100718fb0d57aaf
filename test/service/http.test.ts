import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { createApp, createTokenVerifier, listen } from '../../service/index.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { openServing } from '../../warehouse/serve/index.ts';
import { ALICE, CARLA, silent } from '../serve/support/gold.ts';
import { eventually } from '../support/eventually.ts';
import { fetchReply, SECRET, sendRaw, startService, type TestService } from './support/service.ts';

let service: TestService;
const refreshed: string[] = [];
before(async () => {
  service = await startService({
    refresh: {
      roles: ['admin'],
      start: async (caller) => {
        refreshed.push(caller.sub);
        return { id: 'run-1', state: 'started' };
      },
    },
  });
});
after(() => service.stop());

function assertProblem(
  reply: { readonly status: number; readonly headers: Headers; readonly json: Record<string, unknown> },
  status: number,
): void {
  assert.equal(reply.status, status);
  assert.equal(reply.headers.get('content-type'), 'application/problem+json');
  assert.equal(reply.headers.get('cache-control'), 'no-store');
  for (const member of ['type', 'title', 'code', 'detail']) assert.equal(typeof reply.json[member], 'string', member);
  assert.equal(reply.json['status'], status);
}

test('says that it lives and is ready, without a token', async () => {
  assert.deepEqual((await fetchReply(`${service.url}/livez`)).json, { status: 'alive' });
  assert.equal((await fetchReply(`${service.url}/readyz`)).status, 200);
});

test('a path that does not exist is a 404 problem; below /api only for those with a token', async () => {
  for (const path of [
    '/',
    '/nope',
    '/livez/x',
    '//',
    '/api/analytics/',
    '/api/analytics/datasets/',
    '/api/analytics/datasets/x',
    '/api',
    '/api/x',
    '/index.html',
    '/.env',
    '/api/analytics/datasets/fct_transactions/query/',
  ]) {
    assertProblem(await service.get(path, ALICE), 404);
  }
  assertProblem(await fetchReply(`${service.url}/nope`), 404);
  assertProblem(await fetchReply(`${service.url}/api/nope`), 401);
});

test('a wrong method is a 405 problem that says what is allowed', async () => {
  const authorization = `Bearer ${await service.token(ALICE)}`;
  for (const [path, allow] of [
    ['/api/analytics/status', 'GET, HEAD'],
    ['/api/analytics/datasets/fct_transactions/query', 'GET, HEAD'],
    ['/api/analytics/refresh', 'POST'],
    ['/livez', 'GET, HEAD'],
    ['/openapi.json', 'GET, HEAD'],
  ] as const) {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      if (allow.includes(method)) continue;
      const reply = await fetchReply(`${service.url}${path}`, { method, headers: { authorization } });
      assertProblem(reply, 405);
      assert.equal(reply.headers.get('allow'), allow);
    }
  }
  const head = await fetchReply(`${service.url}/api/analytics/status`, { method: 'HEAD', headers: { authorization } });
  assert.deepEqual([head.status, head.text], [200, '']);
});

test('routes without parameters refuse any', async () => {
  for (const path of [
    '/api/analytics/status',
    '/api/analytics/datasets',
    '/api/analytics/datasets/dim_tags/schema',
    '/openapi.json',
  ]) {
    assertProblem(await service.get(`${path}?x=1`, ALICE), 400);
  }
});

test('broken percent-encoding in a query is a 400, in a path a 404', async () => {
  const query = '/api/analytics/datasets/fct_transactions/query';
  for (const broken of ['?limit=%', '?limit=%zz', '?limit=%E0%A4%A', '?%ff=1', '?start_date=%C0%AF'])
    assertProblem(await service.get(`${query}${broken}`, ALICE), 400);
  for (const path of [
    '/api/analytics/datasets/%E0%A4%A/query',
    '/api/analytics/datasets/%ff/schema',
    '/api/analytics/datasets/%/schema',
    '/api/analytics/datasets/a%2Fb/schema',
  ]) {
    assertProblem(await service.get(path, ALICE), 404);
  }
});

test('what is no HTTP gets a problem and the connection ends', async () => {
  for (const [bytes, status] of [
    ['hello\r\n\r\n', 400],
    ['GET /livez HTTP/9.9\r\n\r\n', 400],
    ['GET /livez HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n', 400],
    ['GET /livez HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n', 400],
    ['GET http:// HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 400],
    ['GET \\\\evil HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 400],
    [`GET /livez?x=${'y'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431],
    ['GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
  ] as const) {
    const said = await sendRaw(service.port, bytes);
    assert.match(said, new RegExp(`^HTTP/1\\.1 ${status} `), `${bytes.slice(0, 60)} → ${said.slice(0, 100)}`);
    assert.match(said, /application\/problem\+json/i);
    const body = JSON.parse(said.slice(said.indexOf('\r\n\r\n') + 4)) as { status: number };
    assert.equal(body.status, status);
  }
  assert.equal((await fetchReply(`${service.url}/livez`)).status, 200);
});

test('refresh is for the named roles, starts once per call and answers 202', async () => {
  const post = async (role: string) =>
    fetchReply(`${service.url}/api/analytics/refresh`, {
      method: 'POST',
      headers: { authorization: `Bearer ${await service.token({ ...ALICE, role })}` },
    });
  assertProblem(await post('viewer'), 403);
  assert.deepEqual(refreshed, []);
  const accepted = await post('admin');
  assert.deepEqual([accepted.status, accepted.json], [202, { id: 'run-1', state: 'started' }]);
  assert.deepEqual(refreshed, ['11']);
});

test('before the first release everything says so and nothing breaks', async () => {
  const serving = await openServing({ log: silent });
  const listening = await listen({
    app: createApp({ serving, verifyToken: createTokenVerifier({ secret: SECRET }), log: silent }),
    host: '127.0.0.1',
    port: 0,
  });
  try {
    const authorization = `Bearer ${await service.token(ALICE)}`;
    for (const path of [
      '/readyz',
      '/api/analytics/status',
      '/api/analytics/datasets',
      '/api/analytics/datasets/x/query',
      '/openapi.json',
    ]) {
      const reply = await fetchReply(`${listening.url}${path}`, { headers: { authorization } });
      assertProblem(reply, 503);
      assert.equal(reply.json['code'], 'NO_RELEASE');
      assert.equal(reply.headers.get('retry-after'), '5');
    }
    assert.equal((await fetchReply(`${listening.url}/livez`)).status, 200);
    await serving.swap(service.pinned);
    assert.equal((await fetchReply(`${listening.url}/readyz`)).status, 200);
  } finally {
    await listening.close(100);
    await serving.close();
  }
});

test('a port in use is named', async () => {
  const app = createApp({
    serving: service.serving,
    verifyToken: createTokenVerifier({ secret: SECRET }),
    log: silent,
  });
  await assert.rejects(
    listen({ app, host: '127.0.0.1', port: service.port }),
    (error) =>
      isSluiceError(error, 'PORT_IN_USE') && error.message.includes(String(service.port)) && error.remedy !== undefined,
  );
});

test('a client that goes away frees its place at once, running or waiting', async () => {
  const authorization = `Bearer ${await service.token(ALICE)}`;
  const sockets = Array.from({ length: 12 }, () => {
    const socket = connect(service.port, '127.0.0.1', () => {
      socket.write(
        `GET /api/analytics/datasets/slow/query HTTP/1.1\r\nHost: a\r\nAuthorization: ${authorization}\r\n\r\n`,
      );
    });
    socket.on('error', () => undefined);
    return socket;
  });
  // One tenant may hold all places but one.
  await eventually(
    'three run and nine wait',
    () => service.serving.load().running === 3 && service.serving.load().waiting === 9,
    3_000,
  );
  for (const socket of sockets) socket.destroy();
  await eventually(
    'all places are free',
    () => service.serving.load().running === 0 && service.serving.load().waiting === 0,
    1_000,
  );
  assert.equal((await service.get('/api/analytics/datasets/fct_transactions/query?limit=1', ALICE)).status, 200);
});

test('two hundred clients that go away leave nothing behind', async () => {
  const pid = service.serving.load().enginePid;
  for (let round = 0; round < 10; round += 1) {
    await Promise.all(
      Array.from({ length: 20 }, async (_, at) => {
        const path = at % 2 === 0 ? 'slow/query' : 'fct_transactions/query?limit=10000';
        await service
          .get(`/api/analytics/datasets/${path}`, at % 3 === 0 ? CARLA : ALICE, {}, AbortSignal.timeout(20 + at))
          .catch(() => undefined);
      }),
    );
  }
  await eventually(
    'nothing runs or waits',
    () => service.serving.load().running === 0 && service.serving.load().waiting === 0,
    2_000,
  );
  assert.equal(service.serving.load().enginePid, pid, 'no engine had to be killed');
  assert.equal((await service.get('/api/analytics/datasets/fct_transactions/query?limit=1', ALICE)).status, 200);
});

test('closing lets a running answer finish and takes no new one', async () => {
  const serving = await openServing({ pinned: service.pinned, log: silent });
  const listening = await listen({
    app: createApp({ serving, verifyToken: createTokenVerifier({ secret: SECRET }), log: silent }),
    host: '127.0.0.1',
    port: 0,
  });
  const authorization = `Bearer ${await service.token(ALICE)}`;
  const socket = connect(listening.port, '127.0.0.1');
  socket.write(
    `GET /api/analytics/datasets/fct_transactions/query?limit=10000 HTTP/1.1\r\nHost: a\r\nAuthorization: ${authorization}\r\nConnection: close\r\n\r\n`,
  );
  let said = '';
  socket.on('data', (part) => {
    said += part.toString();
  });
  await eventually('the request runs', () => serving.load().running === 1 || said !== '', 2_000);
  const ended = once(socket, 'close');
  await listening.close(5_000);
  await ended;
  await serving.close();
  assert.match(said, /^HTTP\/1\.1 200 /);
  assert.ok(said.endsWith(']}'));
  await assert.rejects(fetch(`${listening.url}/livez`));
});
