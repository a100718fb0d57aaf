import type { BronzeSnapshot } from '../../../warehouse/core/bronze-table.ts';
import { type DuckDb, openDuckDb } from '../../../warehouse/core/duckdb.ts';
import { quoteIdentifier } from '../../../warehouse/core/quote.ts';
import type { ModelState } from '../../../warehouse/core/release.ts';
import type { ChangedRows } from '../../../warehouse/transform/build/changed-rows.ts';
import { type Decision, decideModel } from '../../../warehouse/transform/build/decide-model.ts';
import { createTouchedKeys, type TouchedKeys } from '../../../warehouse/transform/build/touched-keys.ts';
import {
  rebuildTable,
  refreshTable,
  type WriteFacts,
  type Written,
} from '../../../warehouse/transform/build/write-table.ts';
import { SIGN_COLUMN } from '../../../warehouse/transform/delta/derivation.ts';
import { AS_OF } from '../../../warehouse/transform/delta/normal-query.ts';
import type { CompiledModel, CompiledProject } from '../../../warehouse/transform/index.ts';
import { asOfMacro, createMacroSql } from '../../../warehouse/transform/index.ts';

/**
 * A build without files: the engine's own decisions, derivations and writes over tables in memory, and a log of every table's changed rows that
 * never forgets, so that a model may stay behind for many runs and still be refreshed.
 */
export interface TestWarehouse {
  readonly db: DuckDb;
  /** Empties the tables of bronze and forgets all models. */
  reset(): Promise<void>;
  /** Runs statements against bronze as one run of extraction, and logs what they changed. */
  extract(statements: readonly string[]): Promise<void>;
  /** Brings a model up to date as a build would. */
  run(model: CompiledModel, asOf?: string): Promise<Run>;
  /** Rows that the model has and should not have, or should have and has not. */
  differences(model: CompiledModel): Promise<readonly unknown[]>;
}

export interface Run {
  readonly did: 'unchanged' | 'rebuilt' | 'refreshed';
  readonly why: string;
  /** True when the model's content is another now. */
  readonly changed: boolean;
  /** Of a refresh: rows that were not touched. */
  readonly kept: number;
}

export interface WarehouseOptions {
  readonly project: CompiledProject;
  /** bronze.app.<name> → its columns in SQL. */
  readonly tables: Readonly<Record<string, string>>;
  /** In place of the engine's own, to see what becomes of a model when a rule is missing. */
  readonly touchedKeys?: (db: DuckDb, bronze: Pick<BronzeSnapshot, 'tables'>) => TouchedKeys;
}

const SIGN = quoteIdentifier(SIGN_COLUMN);

export async function openTestWarehouse({ project, tables, touchedKeys }: WarehouseOptions): Promise<TestWarehouse> {
  const db = await openDuckDb({ threads: 1 });
  for (const catalog of ['bronze', 'silver', 'gold', 'logs']) await db.run(`attach ':memory:' as ${catalog}`);
  await db.run('create schema bronze.app');
  const logOf = (input: string): string => `logs.main.${quoteIdentifier(input)}`;
  const bronze = Object.keys(tables).map((name) => `bronze.app.${name}`);
  for (const [name, columns] of Object.entries(tables)) await db.run(`create table bronze.app.${name} (${columns})`);
  await db.run(createMacroSql(asOfMacro('2000-01-01'), 'temp'));
  for (const macro of project.macros) await db.run(createMacroSql(macro, 'temp'));
  for (const model of project.models) {
    if (model.materialized === 'view') await db.run(`create view ${model.name} as ${model.sql}`);
  }
  const snapshot = {
    tables: Object.entries(tables).map(([table, columns]) => ({
      source: 'app',
      table,
      contract: {
        key: [],
        columns: columns.split(/,\s*(?![^(]*\))/).map((column) => {
          const [columnName = '', ...type] = column.trim().split(' ');
          return {
            name: columnName,
            postgresType: '',
            duckdbType: type.join(' ').toUpperCase(),
            nullable: true,
            policy: 'error' as const,
          };
        }),
      },
      files: [],
      lastCommit: 0,
      replacedAt: 0,
    })),
  };
  const keys = rememberQueries(touchedKeys?.(db, snapshot) ?? createTouchedKeys(db, project, snapshot));
  let now = 0;
  let shownAsOf = '2000-01-01';
  const versions = new Map<string, number>();
  const states = new Map<string, ModelState>();
  const logged = new Set<string>();

  /** Adds rows with their sign to what is known of an input's changes; false when there are none. */
  const log = async (input: string, rows: string): Promise<boolean> => {
    const query = `select *, ${now} as _run from (${rows})`;
    const target = logged.has(input) ? `insert into ${logOf(input)} ` : `create or replace table ${logOf(input)} as `;
    const [added] = await db.rows<{ Count: bigint }>(target + query);
    logged.add(input);
    return Number(added?.Count ?? 0) > 0;
  };

  const changes: ChangedRows = {
    knows: () => true,
    countOf: () => undefined,
    relationOf: async (input, consumed) => {
      const name = `_test_changed_${bronze.includes(input) ? bronze.indexOf(input) : input.replace('.', '_')}`;
      await db.run(
        `create or replace temp table ${name} as select * exclude (_run) from ${logOf(input)} where _run > ${consumed}`,
      );
      return name;
    },
    record: () => undefined,
  };

  return {
    db,
    async reset() {
      const drops = [...[...logged].map(logOf), ...states.keys()].map((table) => `drop table ${table}`);
      await db.run([...drops, ...bronze.map((table) => `delete from ${table}`)].join('; '));
      logged.clear();
      versions.clear();
      states.clear();
      now = 0;
    },
    async extract(statements) {
      now += 1;
      // What is named may be changed, or only read; what is not named is as it was.
      const named = bronze.filter((table) => statements.some((statement) => statement.includes(table)));
      const copies = named.map((table) => `create or replace temp table ${beforeOf(table)} as from ${table}`);
      await db.run([...copies, ...statements, 'select 1'].join('; '));
      for (const table of named) {
        const rows = `select * exclude (_side), sum(_side)::integer as ${SIGN}
          from (select *, 1 as _side from ${table} union all select *, -1 from ${beforeOf(table)}) group by all having sum(_side) <> 0`;
        if (await log(table, rows)) versions.set(table, now);
      }
    },
    async run(model, asOf = '2000-01-01') {
      now += 1;
      if (asOf !== shownAsOf) await db.run(createMacroSql(asOfMacro(asOf), 'temp'));
      shownAsOf = asOf;
      const state = states.get(model.name);
      const decision: Decision = decideModel({
        model,
        state,
        versions,
        knowsChanges: () => true,
        countChanges: () => undefined,
        asOf,
        fullRefresh: false,
      });
      const done = await carryOut(decision);
      states.set(model.name, {
        name: model.name,
        materialized: model.materialized,
        fingerprint: model.fingerprint,
        dataVersion: now,
        consumed: Object.fromEntries(model.inputs.map((input) => [input, versions.get(input) ?? 0])),
        ...(model.reachesAsOf ? { asOf } : {}),
        rows: 0,
        columns: [],
      });
      return done;

      async function carryOut(wanted: Decision): Promise<Run> {
        if (wanted.kind === 'unchanged' || wanted.kind === 'create-view')
          return { did: 'unchanged', why: wanted.why, changed: false, kept: 0 };
        const { layer, table, boundColumns: columns } = model;
        const relation = state === undefined ? undefined : { layer, table, kind: 'table' as const, columns };
        const facts: WriteFacts = { db, model, relation, maxTouchedShare: 1 };
        let { why } = wanted;
        if (wanted.kind === 'refresh' && model.refresh.kind === 'partition' && state !== undefined) {
          const inputs = wanted.changed.filter((input) => input !== AS_OF);
          const changed = new Map(inputs.map((input) => [input, state.consumed[input] ?? 0]));
          const dates = inputs.length < wanted.changed.length ? { before: state.asOf ?? asOf, now: asOf } : undefined;
          const result = await refreshTable({
            ...facts,
            rule: model.refresh,
            bronze: snapshot,
            changes,
            touchedKeys: keys,
            changed,
            dates,
          });
          if (result.kind === 'written') {
            const { written } = result;
            await handOn(written);
            const kept = written.rows - written.changedRows;
            return { did: 'refreshed', why: written.note ?? why, changed: written.changed, kept };
          }
          why = result.why;
        }
        const written = await rebuildTable(facts);
        await handOn(written);
        return { did: 'rebuilt', why, changed: written.changed, kept: 0 };
      }

      /** What a write says it changed is what those who read the model are told. */
      async function handOn(written: Written): Promise<void> {
        if (state === undefined) {
          await log(model.name, `select *, 1 as ${SIGN} from ${model.name}`);
          versions.set(model.name, now);
        } else if (written.changed) {
          if (written.changes === undefined) throw new Error(`${model.name} does not say what changed`);
          await log(model.name, `select * from ${quoteIdentifier(written.changes)}`);
          versions.set(model.name, now);
        }
      }
    },
    async differences(model) {
      const columns = model.boundColumns.map(({ name }) => quoteIdentifier(name)).join(', ');
      return db.rows(`select ${columns}, sum(_surplus)::integer as surplus from (
        select ${columns}, 1 as _surplus from ${model.name} union all select ${columns}, -1 from (${model.sql}\n)
      ) group by all having sum(_surplus) <> 0 limit 5`);
    },
  };
}

function beforeOf(table: string): string {
  return `_before_${table.split('.').at(-1)}`;
}

/** The same question has the same answer as long as the project stands: tables of changed rows keep their names from run to run. */
function rememberQueries(keys: TouchedKeys): TouchedKeys {
  const known = new Map<string, ReturnType<TouchedKeys['queryFor']>>();
  return {
    queryOver: (model, names) => keys.queryOver(model, names),
    queryFor(model, rule, changed, dates) {
      const question = JSON.stringify([model.name, [...changed], dates]);
      const answer = known.get(question) ?? keys.queryFor(model, rule, changed, dates);
      known.set(question, answer);
      return answer;
    },
  };
}
