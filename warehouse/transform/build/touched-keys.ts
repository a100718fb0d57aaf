import type { BronzeSnapshot } from '../../core/bronze-table.ts';
import type { DuckDb } from '../../core/duckdb.ts';
import type { AstNode } from '../ast.ts';
import { bronzeColumns } from '../bind.ts';
import { deriveTouched } from '../delta/derive.ts';
import { normalizeQuery } from '../delta/normal-form.ts';
import { AS_OF, type NormalForm } from '../delta/normal-query.ts';
import { readInstead } from '../delta/prove-append.ts';
import type { Rule } from '../delta/rules.ts';
import { createFunctionFacts, type FunctionFacts } from '../function-facts.ts';
import { macroBody } from '../macros.ts';
import type { CompiledModel, CompiledProject, RefreshRule } from '../model.ts';
import { NotProvable } from '../query-expressions.ts';
import { type BoundColumn, parseSql, printSql } from '../sql-engine.ts';

/**
 * The queries of touched partitions, written when they are needed: which tables changed decides what they look like, and most sets of changed
 * tables never come.
 */
export interface TouchedKeys {
  /** `changed`: input → name of the temporary table of its changed rows. */
  queryFor(
    model: CompiledModel,
    rule: RefreshRule & { readonly kind: 'partition' },
    changed: ReadonlyMap<string, string>,
    /** The logical dates before and now, where that is a change too. */
    dates?: { readonly before: string; readonly now: string },
  ): Promise<TouchedQuery>;
  /** The query of a model that appends, over the new rows of its inputs: input → name of their temporary table. */
  queryOver(model: CompiledModel, names: ReadonlyMap<string, string>): Promise<string>;
}

export type TouchedQuery =
  | { readonly kind: 'sql'; readonly sql: string }
  /** The query reads none of the changed tables. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'rebuild'; readonly why: string };

/** `without` leaves rules out, for tests that prove them. */
export function createTouchedKeys(
  db: DuckDb,
  project: CompiledProject,
  bronze: Pick<BronzeSnapshot, 'tables'>,
  without?: ReadonlySet<Rule>,
): TouchedKeys {
  const models = new Map(project.models.map((model) => [model.name, model]));
  const columns = new Map<string, readonly BoundColumn[]>(
    project.models.map((model) => [model.name, model.boundColumns]),
  );
  for (const table of bronze.tables) {
    for (const [catalog, list] of Object.entries(bronzeColumns(table)))
      columns.set(`${catalog}.${table.source}.${table.table}`.toLowerCase(), list);
  }
  const parsed = new Map<string, Promise<AstNode>>();
  const forms = new Map<string, Promise<NormalForm>>();
  let functions: Promise<FunctionFacts> | undefined;

  const parse = (sql: string): Promise<AstNode> => {
    const known =
      parsed.get(sql) ??
      parseSql(db, sql).then((result) => {
        if (result.kind === 'problem') throw new NotProvable(`its SQL does not parse: ${result.message}`);
        return result.node;
      });
    parsed.set(sql, known);
    return known;
  };

  /** The queries of the views a model reaches. */
  async function viewsOf(model: CompiledModel, found = new Map<string, AstNode>()): Promise<Map<string, AstNode>> {
    for (const name of model.dependencies) {
      const view = models.get(name);
      if (view?.materialized !== 'view' || found.has(name)) continue;
      found.set(name, await parse(view.sql));
      await viewsOf(view, found);
    }
    return found;
  }

  async function normalize(model: CompiledModel): Promise<NormalForm> {
    functions ??= loadFunctions(db, project, parse);
    const views = await viewsOf(model);
    return normalizeQuery(await parse(model.sql), {
      columnsOf: (table) => columns.get(table),
      viewAt: (table) => views.get(table),
      ...(await functions),
    });
  }

  const formOf = (model: CompiledModel): Promise<NormalForm> => {
    const form = forms.get(model.name) ?? normalize(model);
    forms.set(model.name, form);
    return form;
  };

  return {
    async queryOver(model, names) {
      return printSql(
        db,
        readInstead(await formOf(model), (table) => names.get(table) ?? table),
      );
    },

    async queryFor(model, rule, changed, moved) {
      const form = formOf(model);
      try {
        const tables = new Set([...changed.keys(), ...(moved === undefined ? [] : [AS_OF])]);
        const [earlier = '', later = ''] = moved === undefined ? [] : [moved.before, moved.now].sort();
        const dates = moved === undefined ? undefined : { earlier, later };
        const nameOf = (table: string) => changed.get(table) ?? table;
        const touched = deriveTouched(await form, { tables, nameOf, dates }, without);
        if (!touched.affected) return { kind: 'nothing' };
        const by = rule.by.map((name) => model.boundColumns.findIndex((column) => column.name === name));
        const lost = by.findIndex((i) => touched.known[i] !== true);
        if (lost >= 0) return { kind: 'rebuild', why: `${rule.by[lost]} cannot be traced` };
        return { kind: 'sql', sql: await printSql(db, touched.touched(by)) };
      } catch (error) {
        if (error instanceof NotProvable) return { kind: 'rebuild', why: error.message };
        throw error;
      }
    },
  };
}

async function loadFunctions(
  db: DuckDb,
  project: CompiledProject,
  parse: (sql: string) => Promise<AstNode>,
): Promise<FunctionFacts> {
  const aggregates = await (aggregatesOfDuckDb ??= readAggregates(db));
  const bodies = new Map<string, AstNode>();
  for (const macro of project.macros) bodies.set(macro.name, await parse(`select ${macroBody(macro)}`));
  return createFunctionFacts(aggregates, bodies);
}

/** A fact of the library, not of a database: asked for once in a process (30 ms). */
let aggregatesOfDuckDb: Promise<ReadonlySet<string>> | undefined;

async function readAggregates(db: DuckDb): Promise<ReadonlySet<string>> {
  const rows = await db.rows<{ name: string }>(
    "select distinct lower(function_name) as name from duckdb_functions() where function_type = 'aggregate'",
  );
  return new Set(rows.map(({ name }) => name));
}
