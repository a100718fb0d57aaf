import type { Dataset } from '../core/dataset.ts';
import { SluiceError } from '../core/errors.ts';
import { quoteIdentifier } from '../core/quote.ts';
import { type ColumnType, fitValue, parseColumnType, sqlOfType } from './column-type.ts';

/** What rows are asked for, as a tree of typed comparisons. Values are text and become values of the column's own type, or the request fails. */
export type Filter =
  | { readonly kind: 'and' | 'or'; readonly of: readonly Filter[] }
  | { readonly kind: 'not'; readonly of: Filter }
  | { readonly kind: 'compare'; readonly column: string; readonly op: CompareOp; readonly value: string }
  | { readonly kind: 'in'; readonly column: string; readonly values: readonly string[] }
  /** A list column that shares at least one element with `values`. */
  | { readonly kind: 'has_any'; readonly column: string; readonly values: readonly string[] }
  | { readonly kind: 'is_null'; readonly column: string }
  /** Calendar days, both ends included; on timestamps the whole last day counts, in UTC. */
  | { readonly kind: 'days'; readonly column: string; readonly from?: string; readonly to?: string };

const SQL_OPS = { eq: '=', ne: '<>', lt: '<', le: '<=', gt: '>', ge: '>=' } as const;
export type CompareOp = keyof typeof SQL_OPS;

/** Bounds of a tree: planning, not only running, costs time. */
const MAX_DEPTH = 16;
const MAX_NODES = 200;

/** Collects bound values; each becomes a numbered parameter cast to the column's type. */
export interface Binder {
  readonly values: string[];
  bind(type: ColumnType, text: string): string;
}

export function createBinder(): Binder {
  const values: string[] = [];
  return {
    values,
    bind: (type, text) => {
      values.push(text);
      return `cast($${values.length} as ${sqlOfType(type)})`;
    },
  };
}

/** One SQL predicate over the dataset's columns. Throws QUERY_INVALID for unknown columns, values that do not fit and trees too large. */
export function compileFilter(dataset: Dataset, filter: Filter, binder: Binder): string {
  let nodes = 0;

  function compile(node: Filter, depth: number): string {
    nodes += 1;
    if (depth > MAX_DEPTH || nodes > MAX_NODES) {
      throw new SluiceError(
        'QUERY_INVALID',
        `The filter is too large: at most ${MAX_NODES} conditions, nested ${MAX_DEPTH} deep.`,
        {
          remedy: 'Ask for the rows in several smaller requests.',
        },
      );
    }
    switch (node.kind) {
      case 'and':
      case 'or': {
        if (node.of.length === 0) return node.kind === 'and' ? 'true' : 'false';
        return `(${node.of.map((child) => compile(child, depth + 1)).join(` ${node.kind} `)})`;
      }
      case 'not':
        return `(not ${compile(node.of, depth + 1)})`;
      case 'compare':
        return `(${quoteIdentifier(node.column)} ${SQL_OPS[node.op]} ${bindFor(node.column, node.value)})`;
      case 'in': {
        if (node.values.length === 0) return 'false';
        return `(${quoteIdentifier(node.column)} in (${node.values.map((value) => bindFor(node.column, value)).join(', ')}))`;
      }
      case 'has_any': {
        const type = typeOf(node.column);
        if (type.kind !== 'list') throw unfit(node.column, 'it is not a list');
        if (node.values.length === 0) return 'false';
        const values = node.values.map((value) => bindAs(node.column, type.of, value));
        return `coalesce(list_has_any(${quoteIdentifier(node.column)}, [${values.join(', ')}]), false)`;
      }
      case 'is_null':
        typeOf(node.column);
        return `(${quoteIdentifier(node.column)} is null)`;
      case 'days':
        return compileDays(node);
      default:
        return node satisfies never;
    }
  }

  function compileDays(node: Extract<Filter, { kind: 'days' }>): string {
    const type = typeOf(node.column);
    if (type.kind !== 'date' && type.kind !== 'timestamp') throw unfit(node.column, 'it holds no dates');
    const column =
      type.kind === 'timestamp' && type.zoned
        ? `timezone('UTC', ${quoteIdentifier(node.column)})`
        : quoteIdentifier(node.column);
    const parts: string[] = [];
    if (node.from !== undefined) parts.push(`${column} >= ${bindAs(node.column, { kind: 'date' }, node.from)}`);
    if (node.to !== undefined) {
      const to = bindAs(node.column, { kind: 'date' }, node.to);
      parts.push(type.kind === 'date' ? `${column} <= ${to}` : `${column} < ${to} + interval 1 day`);
    }
    return parts.length === 0 ? 'true' : `(${parts.join(' and ')})`;
  }

  function typeOf(name: string): ColumnType {
    const column = dataset.columns.find((candidate) => candidate.name === name);
    if (column === undefined) throw unfit(name, 'there is no such column');
    return parseColumnType(column.type);
  }

  function declaredType(name: string): string {
    return dataset.columns.find((column) => column.name === name)?.type ?? '';
  }

  function bindFor(name: string, text: string): string {
    return bindAs(name, typeOf(name), text);
  }

  function bindAs(name: string, type: ColumnType, text: string): string {
    if (['list', 'struct', 'blob', 'other'].includes(type.kind))
      throw unfit(name, `values of its type ${declaredType(name)} are not compared`);
    const fitted = fitValue(type, text);
    if (fitted === undefined) throw unfit(name, `${JSON.stringify(text.slice(0, 60))} is not a ${sqlOfType(type)}`);
    return binder.bind(type, fitted);
  }

  function unfit(name: string, why: string): SluiceError {
    return new SluiceError(
      'QUERY_INVALID',
      `Dataset ${dataset.id} cannot be filtered by ${JSON.stringify(name.slice(0, 60))}: ${why}.`,
      {
        remedy: 'See the dataset’s schema for its columns and their types.',
      },
    );
  }

  return compile(filter, 1);
}
