import { randomUUID } from 'node:crypto';
import { type Context, Hono } from 'hono';
import { ERROR_CODES, isSluiceError, messageOf, SluiceError } from '../warehouse/core/errors.ts';
import type { Log } from '../warehouse/core/log.ts';
import type { Serving } from '../warehouse/serve/index.ts';
import { createAnalyticsRoutes, type RefreshHook } from './analytics.ts';
import type { AppEnvironment } from './environment.ts';
import { createOpenApiDocument } from './openapi.ts';
import { assertNoParameters } from './parameters.ts';
import { HttpProblem, PROBLEM_TYPE, problemOf } from './problem.ts';
import { bearerOf, type VerifyToken } from './token.ts';

export interface AppOptions {
  readonly serving: Serving;
  readonly verifyToken: VerifyToken;
  readonly log: Log;
  /** Absent: there is no refresh path. */
  readonly refresh?: RefreshHook | undefined;
}

/** The HTTP service, without a server: `listen` gives it one. */
export function createApp(options: AppOptions): Hono<AppEnvironment> {
  const { serving, log } = options;
  const app = new Hono<AppEnvironment>();

  // One line per request, denied and cancelled ones too.
  app.use(async (context, next) => {
    const started = performance.now();
    const requestId = randomUUID();
    context.set('requestId', requestId);
    await next();
    context.header('X-Request-Id', requestId);
    context.header('X-Content-Type-Options', 'nosniff');
    const caller: AppEnvironment['Variables']['caller'] | undefined = context.get('caller');
    log.info(
      {
        request_id: requestId,
        method: context.req.method,
        path: context.req.path,
        status: context.res.status,
        ms: Math.round(performance.now() - started),
        rows: context.get('rows'),
        org: caller?.orgId,
        sub: caller?.sub,
        role: caller?.role,
      },
      'request',
    );
  });

  const authenticate = async (context: Context<AppEnvironment>, next: () => Promise<void>): Promise<void> => {
    context.header('Vary', 'Authorization, Accept');
    context.set('caller', await options.verifyToken(bearerOf(context.req.header('authorization'))));
    // Kept by the caller's own cache only, and asked about each time.
    context.header('Cache-Control', 'private, no-cache');
    await next();
  };
  app.use('/api/*', authenticate);
  app.use('/openapi.json', authenticate);

  app.route('/api/analytics', createAnalyticsRoutes({ serving, refresh: options.refresh }));
  app.get('/openapi.json', (context) => {
    assertNoParameters(context.req.url);
    return context.json(createOpenApiDocument(serving, options.refresh !== undefined));
  });
  app.get('/livez', (context) => context.json({ status: 'alive' }, 200, { 'Cache-Control': 'no-store' }));
  app.get('/readyz', (context) => {
    const { version } = serving.release();
    if (!serving.isReady()) {
      throw new SluiceError('ENGINE_BUSY', 'The query engine is being restarted.', {
        details: { retryAfterSeconds: 1 },
      });
    }
    return context.json({ status: 'ready', release: version }, 200, { 'Cache-Control': 'no-store' });
  });

  refuseOtherMethods(app);
  app.notFound(() => {
    throw new HttpProblem('NOT_FOUND', 'There is nothing at this path; /openapi.json lists what there is.');
  });
  app.onError((error, context) => {
    const { problem, headers } = problemOf(error);
    if (problem.status >= 500) {
      const code = isSluiceError(error) ? error.code : 'INTERNAL';
      const level = ERROR_CODES[code].status === 500 ? 'error' : 'warn';
      log[level](
        { request_id: context.get('requestId'), code, message: messageOf(error), err: error },
        'request failed',
      );
    }
    return new Response(JSON.stringify(problem), {
      status: problem.status,
      headers: { ...headers, 'Content-Type': PROBLEM_TYPE, 'Cache-Control': 'no-store', Vary: 'Authorization, Accept' },
    });
  });
  return app;
}

/** Every path that exists answers 405 and what it allows to every other method. */
function refuseOtherMethods(app: Hono<AppEnvironment>): void {
  const allowed = new Map<string, Set<string>>();
  for (const route of app.routes) {
    if (route.method === 'ALL') continue;
    const methods = allowed.get(route.path) ?? new Set<string>();
    methods.add(route.method);
    if (route.method === 'GET') methods.add('HEAD');
    allowed.set(route.path, methods);
  }
  for (const [path, methods] of allowed) {
    const allow = [...methods].toSorted().join(', ');
    app.all(path, (context) => {
      throw new HttpProblem('METHOD_NOT_ALLOWED', `${context.req.method} is not allowed here; use ${allow}.`, {
        Allow: allow,
      });
    });
  }
}
