import { type AstNode, textOf, walk } from '../ast.ts';
import type { BronzeTableFacts } from '../bind.ts';
import type { CompiledModel, CompiledProject } from '../model.ts';
import { type BoundColumn, openSqlEngine, type SqlEngine } from '../sql-engine.ts';
import { bronzeColumns } from './bronze-columns.ts';
import { type TracedRelation } from './names.ts';
import { type Trace } from './trace.ts';
import { traceQuery } from './trace-query.ts';

/** Which columns each column of each model is computed from, by the same parse as everything else. Models are not looked through: lineage chains table by table. */

export interface InputColumn {
  /** silver.x, gold.x, bronze.<source>.<table> or bronze_log.<source>.<table>. */
  readonly table: string;
  readonly column: string;
}

export interface ColumnLineage {
  readonly column: string;
  /** copied: the value as it is; computed: the value goes into an expression. */
  readonly inputs: readonly (InputColumn & { readonly kind: 'copied' | 'computed' })[];
  /** Why there may be inputs that are not listed. */
  readonly unknown?: string;
}

export interface ModelLineage {
  readonly model: string;
  readonly columns: readonly ColumnLineage[];
  /** Filters, joins, groups, windows that filter, DISTINCT and LIMIT: they decide which rows there are, for all columns. */
  readonly rows: { readonly inputs: readonly InputColumn[]; readonly unknown?: string };
}

/** Column lineage of every model of a compiled project. `bronzeTables` as given to the compiler. */
export async function traceLineage(
  project: Pick<CompiledProject, 'models' | 'macros'>,
  bronzeTables: readonly BronzeTableFacts[],
): Promise<ReadonlyMap<string, ModelLineage>> {
  const columns = new Map<string, readonly BoundColumn[]>([
    ...bronzeColumns(bronzeTables),
    ...project.models.map((model) => [model.name, model.boundColumns] as const),
  ]);
  const engine = await openSqlEngine();
  try {
    const aggregating = await findAggregatingMacros(engine, project.macros);
    const isAggregate = (name: string) => engine.aggregates.has(name) || aggregating.has(name);
    const traced = new Map<string, ModelLineage>();
    for (const model of project.models) {
      const parsed = await engine.parse(model.sql);
      const relation: TracedRelation =
        parsed.kind === 'query'
          ? traceQuery(parsed.node, { columns, isAggregate })
          : { columns: [], open: parsed.message, rows: { inputs: new Map(), unknown: parsed.message } };
      traced.set(model.name, toModelLineage(model, relation));
    }
    return traced;
  } finally {
    engine.close();
  }
}

function toModelLineage(model: CompiledModel, relation: TracedRelation): ModelLineage {
  const isWhole = relation.open === undefined && relation.columns.length === model.boundColumns.length;
  const traceOf = (name: string, i: number): Trace => {
    const byPlace = isWhole ? relation.columns[i] : undefined;
    if (byPlace !== undefined && (byPlace.name === undefined || byPlace.name === name)) return byPlace.trace;
    const byName = relation.columns.filter((column) => column.name === name);
    const [only] = byName;
    if (byName.length === 1 && only !== undefined) return only.trace;
    return { inputs: new Map(), unknown: relation.open ?? 'its columns are not clear' };
  };
  return {
    model: model.name,
    columns: model.boundColumns.map(({ name }, i): ColumnLineage => {
      const trace = traceOf(name.toLowerCase(), i);
      const inputs = [...trace.inputs].map(([input, kind]) => ({ ...toInput(input), kind })).sort(byName);
      return { column: name, inputs, ...(trace.unknown === undefined ? {} : { unknown: trace.unknown }) };
    }),
    rows: {
      inputs: [...relation.rows.inputs.keys()].map(toInput).sort(byName),
      ...(relation.rows.unknown === undefined ? {} : { unknown: relation.rows.unknown }),
    },
  };
}

function toInput(key: string): InputColumn {
  const [table = '', column = ''] = key.split('\0');
  return { table, column };
}

function byName(a: InputColumn, b: InputColumn): number {
  const [left, right] = [`${a.table}\0${a.column}`, `${b.table}\0${b.column}`];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Macros come in the order in which they call each other, so that one that hides another's aggregate is found too. */
async function findAggregatingMacros(
  engine: SqlEngine,
  macros: CompiledProject['macros'],
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const { name, sql } of macros) {
    const body = /^create\s+or\s+replace\s+macro\s+\w+\s*\([^)]*\)\s*as\s+([\s\S]*)$/i.exec(sql)?.[1] ?? '';
    const parsed = await engine.parse(`select ${body}`);
    if (parsed.kind === 'query' && callsAny(parsed.node, (call) => engine.aggregates.has(call) || found.has(call)))
      found.add(name.toLowerCase());
  }
  return found;
}

function callsAny(node: AstNode, test: (name: string) => boolean): boolean {
  return [...walk(node)].some(
    (call) => call['class'] === 'FUNCTION' && test(textOf(call['function_name']).toLowerCase()),
  );
}
