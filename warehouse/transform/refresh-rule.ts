import type { AstNode } from './ast.ts';
import { choosePartition, type Partition } from './delta/choose-partition.ts';
import { deriveTouched } from './delta/derive.ts';
import { normalizeQuery } from './delta/normal-form.ts';
import { AS_OF, type NormalForm } from './delta/normal-query.ts';
import type { NormalContext } from './delta/normalizer.ts';
import { proveAppend } from './delta/prove-append.ts';
import { createFunctionFacts, type FunctionFacts } from './function-facts.ts';
import { findLeafUses } from './locality.ts';
import type { RefreshRule } from './model.ts';
import type { ParsedModel } from './parsed-model.ts';
import { NotProvable } from './query-expressions.ts';
import { bindQuery } from './query-tree.ts';
import { readReferences } from './references.ts';
import type { RefreshContext } from './refresh-context.ts';
import type { BoundColumn } from './sql-engine.ts';
import { createTouchedSql } from './touched-sql.ts';

/** How a change upstream becomes a change of a model: partition by partition where it can be traced, else a rebuild with the reason. */

export async function deriveRefreshRule(
  entry: ParsedModel,
  boundColumns: readonly BoundColumn[],
  context: RefreshContext,
): Promise<RefreshRule> {
  const { model } = entry;
  if (model.materialized !== 'incremental') {
    return { kind: 'rebuild', why: `a ${model.materialized} is always computed whole` };
  }
  try {
    return await prove(entry, boundColumns, context);
  } catch (error) {
    if (error instanceof NotProvable) return { kind: 'rebuild', why: error.message };
    throw error;
  }
}

async function prove(entry: ParsedModel, bound: readonly BoundColumn[], context: RefreshContext): Promise<RefreshRule> {
  const { model, query } = entry;
  const form = normalizeQuery(query, normalContext(context));
  checkNames(form, bound);
  if (model.appends) {
    proveAppend(form);
    return {
      kind: 'append',
      reads: Object.fromEntries([...form.columns].map(([table, names]) => [table, [...names].sort()])),
      others: {},
    };
  }
  const isDated = model.asOf?.kind === 'appends' && form.root.reads.has(AS_OF);
  const tables = [...new Set([...allTables(query, context), ...(isDated ? [AS_OF] : [])])].sort();
  const traces = new Map(tables.map((table) => [table, traceFrom(form, table)]));
  const { by, others } = choosePartition(model.incrementalBy, bound, traces);
  const cut = findCut(entry, by, context);
  const touched = await createTouchedSql({ query, sql: model.sql, by, ...cut, bound, context });
  const reads = tables.flatMap((table): [string, readonly string[]][] =>
    others[table] === undefined ? [[table, [...(form.columns.get(table) ?? [])].sort()]] : [],
  );
  return {
    kind: 'partition',
    by: by.map(({ name }) => name),
    reads: Object.fromEntries(reads),
    others,
    cut: touched.isCut ? cut.tables : {},
    touchedSql: touched.sql,
  };
}

/** Which outputs a change of one table can be traced to, or why none. */
function traceFrom(form: NormalForm, table: string): readonly boolean[] | string {
  try {
    const dates = { earlier: '2000-01-01', later: '2000-01-02' };
    const derived = deriveTouched(form, { tables: new Set([table]), nameOf: (name) => name, dates });
    // Some shapes are refused only when the query is written.
    if (derived.affected) derived.touched(derived.known.flatMap((known, i) => (known ? [i] : [])));
    return derived.known;
  } catch (error) {
    if (error instanceof NotProvable) return error.message;
    throw error;
  }
}

/** The tables of which only the touched partitions need be read: a shortcut that no result depends on, so where it is not clear there is none. */
function findCut(entry: ParsedModel, by: Partition['by'], context: RefreshContext): Cut {
  const views = createViewExpansion(context);
  try {
    const root = bindQuery(entry.query, {
      columns: context.columns,
      viewAt: views.at,
      ...functionFacts(context),
    });
    const columns = by.flatMap(({ index }) => root.columns[index] ?? []);
    const uses = findLeafUses(
      root,
      columns,
      by.map(({ type }) => type),
    );
    const { leaves } = sumUp(uses, allReferences(entry.query, views));
    const nodes = new Map(
      uses.flatMap(({ node, table, columns: carriers }) =>
        leaves[table] !== undefined && carriers !== undefined ? [[node, carriers]] : [],
      ),
    );
    return { tables: leaves, leaves: nodes, views: views.all };
  } catch (error) {
    if (error instanceof NotProvable) return { tables: {}, leaves: new Map(), views: new Map() };
    throw error;
  }
}

interface Cut {
  readonly tables: Readonly<Record<string, readonly (readonly string[])[]>>;
  readonly leaves: ReadonlyMap<AstNode, readonly string[]>;
  readonly views: ReadonlyMap<AstNode, AstNode>;
}

/** What resolves a query's names, from what the compiler knows. */
function normalContext(context: RefreshContext): NormalContext {
  return {
    columnsOf: (table) => context.columns.get(table),
    viewAt: (table) =>
      context.compiled.get(table)?.materialized === 'view' ? context.byName.get(table)?.query : undefined,
    ...functionFacts(context),
  };
}

function functionFacts({ engine, macros }: RefreshContext): FunctionFacts {
  return createFunctionFacts(engine.aggregates, macros.bodies);
}

/** The resolver must have seen the same columns as DuckDB, or nothing it says counts. */
function checkNames({ root }: NormalForm, bound: readonly BoundColumn[]): void {
  const same =
    root.names.length === bound.length &&
    root.names.every((name, i) => name === undefined || name === bound[i]?.name.toLowerCase());
  if (!same) throw new NotProvable('its columns are not clear');
}

/** Every table a query names, views looked through. */
function allTables(query: AstNode, context: RefreshContext): readonly string[] {
  return readReferences(query).tables.flatMap(({ name = '' }) => {
    const view = context.compiled.get(name)?.materialized === 'view' ? context.byName.get(name)?.query : undefined;
    return view === undefined ? [name] : allTables(view, context);
  });
}

interface Views {
  readonly at: (reference: AstNode, table: string) => AstNode | undefined;
  readonly all: ReadonlyMap<AstNode, AstNode>;
}

/** Each reference to a view gets its own copy of the view's tree, so that each use of a leaf below is a node of its own. */
function createViewExpansion({ compiled, byName }: RefreshContext): Views {
  const all = new Map<AstNode, AstNode>();
  const at = (reference: AstNode, table: string) => {
    if (compiled.get(table)?.materialized !== 'view') return undefined;
    const known = all.get(reference);
    if (known !== undefined) return known;
    const query = byName.get(table)?.query;
    if (query === undefined) throw new NotProvable(`the view ${table} is not clear`);
    const copy = structuredClone(query);
    all.set(reference, copy);
    return copy;
  };
  return { at, all };
}

/** Every reference to a table that is not a view, in the query and in the views it reaches. */
function allReferences(query: AstNode, views: Views): readonly { readonly node: AstNode; readonly table: string }[] {
  return readReferences(query).tables.flatMap(({ node, name }) => {
    const view = views.all.get(node);
    return view === undefined ? [{ node, table: name ?? '' }] : allReferences(view, views);
  });
}

/** A dependency is local when each of its references is, the same way each time it is reached; all others say why not. */
function sumUp(
  uses: ReturnType<typeof findLeafUses>,
  references: readonly { readonly node: AstNode; readonly table: string }[],
): { leaves: Record<string, (readonly string[])[]>; others: Record<string, string> } {
  const leaves: Record<string, (readonly string[])[]> = {};
  const others: Record<string, string> = {};
  for (const table of [...new Set(references.map((reference) => reference.table))].sort()) {
    const lists: (readonly string[])[] = [];
    let why: string | undefined;
    for (const { node } of references.filter((reference) => reference.table === table)) {
      const reached = uses.filter((use) => use.node === node);
      const [first] = reached;
      if (first === undefined) why ??= 'it is named where nothing reads it';
      for (const use of reached) {
        if (use.columns === undefined) why ??= use.why;
        else if (use.columns.join('\0') !== first?.columns?.join('\0')) why ??= 'one CTE reads it for several purposes';
      }
      if (first?.columns !== undefined && !lists.some((list) => list.join('\0') === first.columns?.join('\0')))
        lists.push(first.columns);
    }
    if (why === undefined) leaves[table] = lists;
    else others[table] = why;
  }
  return { leaves, others };
}
