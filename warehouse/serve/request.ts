import type { Dataset } from '../core/dataset.ts';
import { SluiceError } from '../core/errors.ts';
import { nearestOf } from '../core/nearest.ts';
import { fitValue, parseColumnType } from './column-type.ts';
import { ANSWER_FORMATS, type AnswerFormat } from './engine-protocol.ts';
import type { Filter } from './filter.ts';
import type { ServingLimits } from './limits.ts';

/** What a caller asks of one dataset, checked. */
export interface DatasetRequest {
  /** First and last day, both included. */
  readonly startDate?: string | undefined;
  readonly endDate?: string | undefined;
  /** Entity → ids, each of which must be the caller's own. */
  readonly ids?: Readonly<Record<string, readonly string[]>>;
  /** A further condition, for callers inside this process. */
  readonly where?: Filter;
  readonly limit?: number;
  readonly offset?: number;
  /** Whether to count all rows that pass. */
  readonly total?: boolean;
  readonly format?: AnswerFormat;
}

/** A parameter a dataset's query takes: the parser, the schema answer and the OpenAPI document read the same list. */
export interface DatasetParameter {
  readonly name: string;
  readonly kind: 'date' | 'ids' | 'integer' | 'boolean' | 'format';
  readonly description: string;
  /** The column it bounds, for dates and ids. */
  readonly column?: string;
  readonly entity?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: number | boolean | string;
}

export function parametersOf(dataset: Dataset, limits: ServingLimits): readonly DatasetParameter[] {
  const { dateColumn, ids } = dataset.filters;
  const dates: DatasetParameter[] =
    dateColumn === undefined
      ? []
      : [
          {
            name: 'start_date',
            kind: 'date',
            column: dateColumn,
            description: `First day of ${dateColumn}, included.`,
          },
          { name: 'end_date', kind: 'date', column: dateColumn, description: `Last day of ${dateColumn}, included.` },
        ];
  const entities = Object.entries(ids)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([entity, column]): DatasetParameter => ({
        name: `${entity}_ids`,
        kind: 'ids',
        column,
        entity,
        maximum: limits.maxIds,
        description: `Only these: ids of the caller’s own, separated by commas, at most ${limits.maxIds}.`,
      }),
    );
  return [
    ...dates,
    ...entities,
    {
      name: 'limit',
      kind: 'integer',
      minimum: 1,
      maximum: limits.maxRows,
      default: limits.defaultRows,
      description: 'Rows of a page.',
    },
    {
      name: 'offset',
      kind: 'integer',
      minimum: 0,
      maximum: limits.maxOffset,
      default: 0,
      description: 'Rows to leave out first.',
    },
    { name: 'total', kind: 'boolean', default: false, description: 'Whether to count all rows that pass.' },
    {
      name: 'format',
      kind: 'format',
      default: 'json',
      description: `One of ${ANSWER_FORMATS.join(', ')}; overrides Accept.`,
    },
  ];
}

/**
 * Reads decoded query parameters, strictly: an unknown, repeated or malformed one is an error, and all errors come at once.
 * Throws QUERY_INVALID with `details.problems`.
 */
export function parseDatasetRequest(
  dataset: Dataset,
  entityOf: (entity: string) => Dataset | undefined,
  parameters: readonly (readonly [name: string, value: string])[],
  limits: ServingLimits,
): DatasetRequest {
  const known = new Map(parametersOf(dataset, limits).map((parameter) => [parameter.name, parameter]));
  const problems: { readonly parameter: string; readonly detail: string }[] = [];
  const seen = new Set<string>();
  const request: {
    startDate?: string;
    endDate?: string;
    ids: Record<string, readonly string[]>;
    limit?: number;
    offset?: number;
    total?: boolean;
    format?: AnswerFormat;
  } = { ids: {} };

  for (const [name, value] of parameters) {
    const parameter = known.get(name);
    const fail = (detail: string): void => {
      problems.push({ parameter: name.slice(0, 60), detail });
    };
    if (parameter === undefined) {
      const nearest = nearestOf(name, [...known.keys()]);
      fail(`is not a parameter of ${dataset.id}${nearest === undefined ? '' : `; did you mean ${nearest}?`}`);
      continue;
    }
    if (seen.has(name)) {
      fail('is given more than once');
      continue;
    }
    seen.add(name);
    switch (parameter.kind) {
      case 'date': {
        const date = fitValue({ kind: 'date' }, value);
        if (date === undefined) fail(`is not a date: ${shown(value)}; write it YYYY-MM-DD`);
        else if (name === 'start_date') request.startDate = date;
        else request.endDate = date;
        break;
      }
      case 'integer': {
        const number = /^(?:0|[1-9]\d{0,15})$/.test(value) ? Number(value) : Number.NaN;
        if (Number.isNaN(number) || number < (parameter.minimum ?? 0) || number > (parameter.maximum ?? 0)) {
          fail(`must be a whole number from ${parameter.minimum} to ${parameter.maximum}, not ${shown(value)}`);
        } else if (name === 'limit') request.limit = number;
        else request.offset = number;
        break;
      }
      case 'boolean':
        if (value !== 'true' && value !== 'false') fail(`must be true or false, not ${shown(value)}`);
        else request.total = value === 'true';
        break;
      case 'format': {
        const format = ANSWER_FORMATS.find((candidate) => candidate === value);
        if (format === undefined) fail(`must be one of ${ANSWER_FORMATS.join(', ')}, not ${shown(value)}`);
        else request.format = format;
        break;
      }
      case 'ids': {
        const ids = parseIds(entityOf(parameter.entity ?? ''), value, limits);
        if (typeof ids === 'string') fail(ids);
        else request.ids[parameter.entity ?? ''] = ids;
        break;
      }
      default:
        parameter.kind satisfies never;
    }
  }
  if (request.startDate !== undefined && request.endDate !== undefined && request.startDate > request.endDate) {
    problems.push({ parameter: 'end_date', detail: `is before start_date: ${request.endDate} < ${request.startDate}` });
  }
  if (problems.length > 0) {
    const shownProblems = problems.slice(0, 20);
    throw new SluiceError(
      'QUERY_INVALID',
      shownProblems.map(({ parameter, detail }) => `${parameter} ${detail}`).join('; '),
      {
        remedy: `See the schema of ${dataset.id} for its parameters.`,
        details: { problems: shownProblems },
      },
    );
  }
  return request;
}

/** The filter a request means: its days, its ids and its further condition, all of them. */
export function filterOf(dataset: Dataset, request: DatasetRequest): Filter {
  const all: Filter[] = [];
  const { dateColumn, ids } = dataset.filters;
  if (request.startDate !== undefined || request.endDate !== undefined) {
    if (dateColumn === undefined) throw invalid(`Dataset ${dataset.id} has no dates to bound.`);
    all.push({
      kind: 'days',
      column: dateColumn,
      ...(request.startDate === undefined ? {} : { from: request.startDate }),
      ...(request.endDate === undefined ? {} : { to: request.endDate }),
    });
  }
  for (const [entity, values] of Object.entries(request.ids ?? {})) {
    const column = Object.hasOwn(ids, entity) ? ids[entity] : undefined;
    const declared = dataset.columns.find((candidate) => candidate.name === column);
    if (column === undefined || declared === undefined)
      throw invalid(`Dataset ${dataset.id} is not filtered by ${shown(entity)} ids.`);
    all.push({ kind: parseColumnType(declared.type).kind === 'list' ? 'has_any' : 'in', column, values });
  }
  if (request.where !== undefined) all.push(request.where);
  return { kind: 'and', of: all };
}

function parseIds(entity: Dataset | undefined, value: string, limits: ServingLimits): readonly string[] | string {
  const key = entity?.columns.find((column) => column.name === entity.key[0]);
  if (key === undefined) return 'cannot be used: no dataset lists these ids';
  const type = parseColumnType(key.type);
  const ids = new Set<string>();
  if (value === '') return 'names no id';
  const parts = value.split(',');
  if (parts.length > limits.maxIds) return `names ${parts.length} ids; at most ${limits.maxIds} are taken`;
  for (const part of parts) {
    const id = part === '' ? undefined : fitValue(type, part);
    if (id === undefined) return `holds ${shown(part)}, which is not a ${key.type}`;
    ids.add(id);
  }
  return [...ids].toSorted();
}

function shown(value: string): string {
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
}

function invalid(message: string): SluiceError {
  return new SluiceError('QUERY_INVALID', message, { remedy: 'See the dataset’s schema for its parameters.' });
}
