import type { Dataset } from '../warehouse/core/dataset.ts';
import {
  type DatasetParameter,
  jsonSchemaOf,
  parametersOf,
  parseColumnType,
  type Serving,
} from '../warehouse/serve/index.ts';

/** OpenAPI 3.1 of the service as it stands: one query path per dataset of the release, with its own parameters and exact row type. */
export function createOpenApiDocument(serving: Serving, withRefresh: boolean): Readonly<Record<string, unknown>> {
  const release = serving.release();
  const datasets = serving.datasets();
  return {
    openapi: '3.1.0',
    info: {
      title: 'Sluice analytics',
      version: release.version,
      description: `Datasets of release ${release.version}, as of ${release.asOf}. Every answer holds the caller’s own rows only.`,
    },
    security: [{ bearer: [] }],
    paths: {
      '/api/analytics/status': {
        get: operation('status', 'The release that is served and its checks', { type: 'object' }),
      },
      '/api/analytics/datasets': { get: operation('listDatasets', 'The datasets of the release', { type: 'object' }) },
      '/api/analytics/datasets/{id}/schema': {
        get: {
          ...operation('getSchema', 'Columns, types and parameters of a dataset', { type: 'object' }),
          parameters: [
            {
              name: 'id',
              in: 'path',
              required: true,
              schema: { type: 'string', enum: datasets.map((dataset) => dataset.id) },
            },
          ],
        },
      },
      ...Object.fromEntries(
        datasets.map((dataset) => [
          `/api/analytics/datasets/${dataset.id}/query`,
          { get: queryOperation(dataset, serving) },
        ]),
      ),
      ...(withRefresh
        ? {
            '/api/analytics/refresh': {
              post: { ...operation('refresh', 'Starts a run of the pipeline', { type: 'object' }, '202') },
            },
          }
        : {}),
      '/livez': { get: { ...operation('live', 'Whether the process runs', { type: 'object' }), security: [] } },
      '/readyz': {
        get: { ...operation('ready', 'Whether a release can be queried', { type: 'object' }), security: [] },
      },
    },
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      schemas: {
        Problem: {
          type: 'object',
          required: ['type', 'title', 'status', 'code', 'detail'],
          properties: {
            type: { type: 'string' },
            title: { type: 'string' },
            status: { type: 'integer' },
            code: { type: 'string' },
            detail: { type: 'string' },
            remedy: { type: 'string' },
            errors: {
              type: 'array',
              items: { type: 'object', properties: { parameter: { type: 'string' }, detail: { type: 'string' } } },
            },
          },
        },
        ...Object.fromEntries(datasets.map((dataset) => [dataset.id, rowSchema(dataset)])),
      },
      responses: {
        Problem: {
          description: 'Problem details (RFC 9457)',
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
    },
  };
}

function queryOperation(dataset: Dataset, serving: Serving) {
  const row = { $ref: `#/components/schemas/${dataset.id}` };
  const page = {
    type: 'object',
    required: ['dataset', 'release', 'as_of', 'columns', 'row_count', 'limit', 'offset', 'has_more', 'data'],
    properties: {
      dataset: { const: dataset.id },
      release: { type: 'string' },
      as_of: { type: 'string', format: 'date' },
      columns: {
        type: 'array',
        items: { type: 'object', properties: { name: { type: 'string' }, type: { type: 'string' } } },
      },
      row_count: { type: 'integer' },
      limit: { type: 'integer' },
      offset: { type: 'integer' },
      has_more: { type: 'boolean' },
      total: { type: 'integer' },
      data: { type: 'array', items: row },
    },
  };
  return {
    ...operation(`query_${dataset.id}`, dataset.description, page),
    tags: [dataset.group],
    parameters: parametersOf(dataset, serving.limits).map((parameter) => ({
      name: parameter.name,
      in: 'query',
      description: parameter.description,
      schema: parameterSchema(parameter),
      ...(parameter.kind === 'ids' ? { style: 'form', explode: false } : {}),
    })),
    responses: {
      '200': {
        description: 'A page of the caller’s rows',
        headers: { ETag: { schema: { type: 'string' } }, 'X-Has-More': { schema: { type: 'boolean' } } },
        content: {
          'application/json': { schema: page },
          'application/x-ndjson': { schema: row },
          'text/csv': { schema: { type: 'string' } },
        },
      },
      '304': { description: 'The page whose ETag was sent is still right' },
      default: { $ref: '#/components/responses/Problem' },
    },
  };
}

function parameterSchema(parameter: DatasetParameter): Readonly<Record<string, unknown>> {
  switch (parameter.kind) {
    case 'date':
      return { type: 'string', format: 'date' };
    case 'ids':
      return { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: parameter.maximum };
    case 'integer':
      return { type: 'integer', minimum: parameter.minimum, maximum: parameter.maximum, default: parameter.default };
    case 'boolean':
      return { type: 'boolean', default: parameter.default };
    case 'format':
      return { type: 'string', enum: ['json', 'ndjson', 'csv'], default: parameter.default };
    default:
      return parameter.kind satisfies never;
  }
}

function rowSchema(dataset: Dataset) {
  return {
    type: 'object',
    description: dataset.description,
    required: dataset.columns.map((column) => column.name),
    properties: Object.fromEntries(
      dataset.columns.map((column) => [
        column.name,
        {
          ...jsonSchemaOf(parseColumnType(column.type)),
          ...(column.description === undefined ? {} : { description: column.description }),
        },
      ]),
    ),
    additionalProperties: false,
  };
}

function operation(operationId: string, summary: string, schema: unknown, status = '200') {
  return {
    operationId,
    summary,
    responses: {
      [status]: { description: summary, content: { 'application/json': { schema } } },
      default: { $ref: '#/components/responses/Problem' },
    },
  };
}
