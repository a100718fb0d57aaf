import { type AstNode, type AstValue, ctesOf, isList, isNode, textOf } from './ast.ts';
import { LAYERS } from './model.ts';

/** What a query names: tables that are not its own CTEs, and functions. Comments and strings do not count, for the tree holds none. */

export interface TableReference {
  /** silver.x, gold.x, bronze.<source>.<table>, bronze_log.<source>.<table>; undefined when the name has no such form. */
  readonly name: string | undefined;
  /** As written, for messages. */
  readonly written: string;
  readonly node: AstNode;
}

export interface References {
  readonly tables: readonly TableReference[];
  /** Calls of scalar, aggregate and window functions and macros; names in lower case. */
  readonly functions: readonly { readonly name: string; readonly node: AstNode }[];
  readonly tableFunctions: readonly { readonly name: string; readonly node: AstNode }[];
}

export function readReferences(query: AstNode): References {
  const tables: TableReference[] = [];
  const functions: { name: string; node: AstNode }[] = [];
  const tableFunctions: { name: string; node: AstNode }[] = [];
  const visit = (value: AstValue | undefined, ctes: ReadonlySet<string>): void => {
    if (typeof value !== 'object' || value === null) return;
    if (isList(value)) {
      for (const item of value) visit(item, ctes);
      return;
    }
    let scope = ctes;
    for (const cte of value['cte_map'] === undefined ? [] : ctesOf(value)) {
      const recursive = textOf(cte.query['type']) === 'RECURSIVE_CTE_NODE';
      const inner = new Set(scope).add(cte.name.toLowerCase());
      visit(cte.query, recursive ? inner : scope);
      scope = inner;
    }
    const type = textOf(value['type']);
    if (type === 'BASE_TABLE' && !isCteReference(value, scope)) {
      tables.push({ name: tableNameOf(value), written: pathOf(value).join('.'), node: value });
    } else if (type === 'TABLE_FUNCTION') {
      const call = value['function'];
      if (isNode(call)) {
        tableFunctions.push({ name: textOf(call['function_name']).toLowerCase(), node: value });
        visit(call['children'], scope);
      }
      return;
    } else if (value['class'] === 'FUNCTION' || value['class'] === 'WINDOW') {
      functions.push({ name: textOf(value['function_name']).toLowerCase(), node: value });
    }
    for (const field in value) {
      const inner = value[field];
      if (typeof inner === 'object' && inner !== null && field !== 'cte_map') visit(inner, scope);
    }
  };
  visit(query, new Set());
  return { tables, functions, tableFunctions };
}

export function isCteReference(table: AstNode, ctes: { has(name: string): boolean }): boolean {
  const qualified = textOf(table['catalog_name']) !== '' || textOf(table['schema_name']) !== '';
  return !qualified && ctes.has(textOf(table['table_name']).toLowerCase());
}

/** Canonical name of a table that is not a CTE. */
export function tableNameOf(table: AstNode): string | undefined {
  const catalog = textOf(table['catalog_name']).toLowerCase();
  const schema = textOf(table['schema_name']).toLowerCase();
  const name = textOf(table['table_name']).toLowerCase();
  const isLayer = (text: string) => LAYERS.some((layer) => layer === text);
  if (catalog === '' && isLayer(schema)) return `${schema}.${name}`;
  if (isLayer(catalog) && schema === 'main') return `${catalog}.${name}`;
  if (catalog === 'bronze' || catalog === 'bronze_log') return `${catalog}.${schema}.${name}`;
  return undefined;
}

/** How a table is named in FROM: its path as written, and the alias by which its columns are reached; both in lower case. */
export function writtenAs(table: AstNode): {
  readonly path: readonly string[];
  readonly alias: string;
  readonly hasOwnAlias: boolean;
} {
  const path = pathOf(table).map((part) => part.toLowerCase());
  const own = textOf(table['alias']).toLowerCase();
  return { path, alias: own === '' ? (path.at(-1) ?? '') : own, hasOwnAlias: own !== '' };
}

function pathOf(table: AstNode): readonly string[] {
  return [table['catalog_name'], table['schema_name'], table['table_name']].map(textOf).filter((part) => part !== '');
}
