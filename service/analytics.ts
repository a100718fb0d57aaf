import { type Context, Hono } from 'hono';
import type { Dataset } from '../warehouse/core/dataset.ts';
import { SluiceError } from '../warehouse/core/errors.ts';
import {
  ANSWER_FORMATS,
  type AnswerFormat,
  type Caller,
  csvField,
  jsonSchemaOf,
  parametersOf,
  parseColumnType,
  type QueryResult,
  type Serving,
} from '../warehouse/serve/index.ts';
import type { AppEnvironment } from './environment.ts';
import { acceptedTypes, assertNoParameters, parametersOfUrl } from './parameters.ts';
import { HttpProblem } from './problem.ts';

/** The metadata-driven API: status, datasets, schema and query come from the release, nothing here knows a dataset by name. */

/** Starts a run of the pipeline for the callers whose role is named. */
export interface RefreshHook {
  readonly roles: readonly string[];
  /** Resolves once the run is accepted, not when it is done. */
  start(caller: Caller): Promise<{ readonly id: string; readonly state: 'started' | 'already_running' }>;
}

const MEDIA_TYPES: Readonly<Record<AnswerFormat, string>> = {
  json: 'application/json',
  ndjson: 'application/x-ndjson',
  csv: 'text/csv',
};

export function createAnalyticsRoutes(options: {
  readonly serving: Serving;
  readonly refresh?: RefreshHook | undefined;
}): Hono<AppEnvironment> {
  const { serving, refresh } = options;
  const routes = new Hono<AppEnvironment>();

  routes.get('/status', (context) => {
    assertNoParameters(context.req.url);
    const release = serving.release();
    const count = (status: string): number => release.tests.filter((test) => test.status === status).length;
    return context.json({
      status: serving.isReady() ? 'ok' : 'restarting',
      ...releaseOf(serving),
      release_number: release.number,
      published_at: release.publishedAt,
      datasets: release.datasets.length,
      tests: { passed: count('pass'), warned: count('warn') },
    });
  });

  routes.get('/datasets', (context) => {
    assertNoParameters(context.req.url);
    const data = serving.datasets().map((dataset) => summaryOf(dataset, serving));
    return context.json({ ...releaseOf(serving), data });
  });

  routes.get('/datasets/:id/schema', (context) => {
    assertNoParameters(context.req.url);
    const dataset = serving.dataset(context.req.param('id'));
    return context.json({ ...releaseOf(serving), ...schemaOf(dataset, serving) });
  });

  routes.get('/datasets/:id/query', async (context) => {
    const caller = context.get('caller');
    const id = context.req.param('id');
    const request = serving.parse(id, parametersOfUrl(context.req.url));
    const format = request.format ?? formatOf(context.req.header('accept'));
    const result = await serving.query(
      id,
      caller,
      { ...request, format },
      {
        signal: context.req.raw.signal,
        knownTags: tagsOf(context.req.header('if-none-match')),
      },
    );
    context.header('ETag', result.tag);
    if (result.kind === 'unchanged') return context.body(null, 304);
    context.set('rows', result.rows);
    return pageResponse(context, result);
  });

  if (refresh !== undefined) {
    routes.post('/refresh', async (context) => {
      assertNoParameters(context.req.url);
      const caller = context.get('caller');
      if (!refresh.roles.includes(caller.role)) {
        throw new SluiceError('FORBIDDEN', `A refresh takes one of the roles ${refresh.roles.join(', ')}.`, {
          remedy: 'Ask someone with that role, or wait for the schedule.',
        });
      }
      const started = await refresh.start(caller);
      return context.json({ id: started.id, state: started.state }, 202, { 'Cache-Control': 'no-store' });
    });
  }
  return routes;
}

function releaseOf(serving: Serving): { readonly release: string; readonly as_of: string } {
  const release = serving.release();
  return { release: release.version, as_of: release.asOf };
}

function summaryOf(dataset: Dataset, serving: Serving) {
  return {
    id: dataset.id,
    friendly_name: dataset.friendlyName,
    description: dataset.description,
    group: dataset.group,
    time_grain: dataset.timeGrain ?? null,
    parameters: parametersOf(dataset, serving.limits).map((parameter) => parameter.name),
  };
}

function schemaOf(dataset: Dataset, serving: Serving) {
  return {
    ...summaryOf(dataset, serving),
    key: dataset.key,
    owner: dataset.owner.kind === 'public' ? { kind: 'public', reason: dataset.owner.reason } : dataset.owner,
    columns: dataset.columns.map((column) => ({
      name: column.name,
      type: column.type,
      description: column.description ?? null,
      json: jsonSchemaOf(parseColumnType(column.type)),
    })),
    parameters: parametersOf(dataset, serving.limits),
  };
}

/** The first format that Accept allows. Throws NOT_ACCEPTABLE. */
function formatOf(accept: string | undefined): AnswerFormat {
  for (const type of acceptedTypes(accept)) {
    if (type === '*/*' || type === 'application/*') return 'json';
    if (type === 'text/*') return 'csv';
    const format = ANSWER_FORMATS.find((candidate) => MEDIA_TYPES[candidate] === type);
    if (format !== undefined) return format;
  }
  throw new HttpProblem('NOT_ACCEPTABLE', `The query answers in ${Object.values(MEDIA_TYPES).join(', ')}.`);
}

/** Entity tags of If-None-Match, compared weakly as RFC 9110 asks; `*` proves nothing here and is left out. */
function tagsOf(header: string | undefined): readonly string[] {
  return (header ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
}

function pageResponse(context: Context<AppEnvironment>, page: Extract<QueryResult, { kind: 'page' }>): Response {
  // What JSON says in its envelope, the other formats say in headers: a page that is not the end never looks like it.
  context.header('Content-Type', `${MEDIA_TYPES[page.format]}; charset=utf-8`);
  context.header('X-Release', page.release.version);
  context.header('X-As-Of', page.release.asOf);
  context.header('X-Row-Count', String(page.rows));
  context.header('X-Has-More', String(page.hasMore));
  if (page.total !== undefined) context.header('X-Total', String(page.total));
  const columns = page.dataset.columns;
  switch (page.format) {
    case 'json': {
      const envelope = JSON.stringify({
        dataset: page.dataset.id,
        release: page.release.version,
        as_of: page.release.asOf,
        columns: columns.map(({ name, type }) => ({ name, type })),
        row_count: page.rows,
        limit: page.limit,
        offset: page.offset,
        has_more: page.hasMore,
        ...(page.total === undefined ? {} : { total: page.total }),
      });
      return context.body(`${envelope.slice(0, -1)},"data":[${page.text}]}`);
    }
    case 'ndjson':
      return context.body(page.rows === 0 ? '' : `${page.text}\n`);
    case 'csv': {
      const heading = columns.map(({ name }) => csvField(name)).join(',');
      return context.body(page.rows === 0 ? `${heading}\r\n` : `${heading}\r\n${page.text}\r\n`);
    }
    default:
      return page.format satisfies never;
  }
}
