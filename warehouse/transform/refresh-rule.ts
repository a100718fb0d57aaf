import { type AstNode, textOf } from './ast.ts';
import { findLeafUses } from './locality.ts';
import type { RefreshRule } from './model.ts';
import type { ParsedModel } from './parsed-model.ts';
import { NotProvable } from './query-expressions.ts';
import { bindQuery, type Relation } from './query-tree.ts';
import { readReferences } from './references.ts';
import type { RefreshContext } from './refresh-context.ts';
import type { BoundColumn } from './sql-engine.ts';
import { createTouchedSql } from './touched-sql.ts';

/** How a change upstream becomes a change of a model: partition by partition where that is proven, else a rebuild with the reason. */

/** Types whose values are equal exactly when they are the same value, so that a partition is what `=` says. */
const PARTITION_TYPE =
  /^(BOOLEAN|U?TINYINT|U?SMALLINT|U?INTEGER|U?BIGINT|U?HUGEINT|DECIMAL\(\d+,\d+\)|VARCHAR|DATE|TIME|TIMESTAMP|TIMESTAMP_(S|MS|NS)|TIMESTAMP WITH TIME ZONE|UUID|BLOB)$/;

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
  const by = model.incrementalBy.map((name) => {
    const index = bound.findIndex((column) => column.name.toLowerCase() === name.toLowerCase());
    const type = bound[index]?.type ?? '';
    if (!PARTITION_TYPE.test(type))
      throw new NotProvable(`${name} is a ${type || 'missing column'}, whose equal values may differ`);
    return { name, index, type };
  });
  const views = createViewExpansion(context);
  const root = bindQuery(query, {
    columns: context.columns,
    viewAt: views.at,
    isAggregate: (name) => context.engine.aggregates.has(name) || hides(name, context, isAggregateCall),
    isWindow: (name) => hides(name, context, (call) => call['class'] === 'WINDOW'),
  });
  checkRoot(root, bound);
  const columns = by.flatMap(({ index }) => root.columns[index] ?? []);
  const uses = findLeafUses(
    root,
    columns,
    by.map(({ type }) => type),
  );
  const { leaves, others } = sumUp(uses, allReferences(query, views));
  const byNames = by.map(({ name }) => name).join(', ');
  if (Object.keys(leaves).length === 0) {
    const reasons = Object.entries(others).map(([table, why]) => `${table}: ${why}`);
    throw new NotProvable(`no table it reads can be cut by ${byNames} (${reasons.join('; ')})`);
  }
  const nodes = new Map(
    uses.flatMap(({ node, table, columns }) =>
      leaves[table] !== undefined && columns !== undefined ? [[node, columns]] : [],
    ),
  );
  const touched = await createTouchedSql({ query, by, leaves: nodes, views: views.all, bound, context });
  return {
    kind: 'partition',
    by: by.map(({ name }) => name),
    leaves,
    others,
    touchedSql: touched,
  };
}

/** The resolver must have seen the same columns as DuckDB, or nothing it says counts. */
function checkRoot(root: Relation, bound: readonly BoundColumn[]): void {
  const same =
    root.columns.length === bound.length &&
    root.columns.every(({ name, type }, i) => {
      const column = bound[i];
      return (
        (name === undefined || name === column?.name.toLowerCase()) && (type === undefined || type === column?.type)
      );
    });
  if (!same) throw new NotProvable('its columns are not clear');
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

const isAggregateCall = (call: AstNode, context: RefreshContext) =>
  call['class'] === 'FUNCTION' && context.engine.aggregates.has(textOf(call['function_name']).toLowerCase());

/** True when a macro, or one it calls, holds such a call. */
function hides(
  name: string,
  context: RefreshContext,
  test: (call: AstNode, context: RefreshContext) => boolean,
): boolean {
  const body = context.macros.bodies.get(name);
  if (body === undefined) return false;
  return readReferences(body).functions.some(
    ({ name: inner, node }) => test(node, context) || hides(inner, context, test),
  );
}
