import { isSluiceError } from '../../../warehouse/core/errors.ts';
import type { CompiledModel, CompiledProject, Diagnostic } from '../../../warehouse/transform/index.ts';
import type { Random } from '../../support/random.ts';
import { bronzeTable, compile, modelText } from '../compile/project.ts';
import { randomQuery } from '../compile/random-query.ts';

/** Random graphs of one to four models over three tables, and random histories of those tables. */

const COLUMNS = { k: 'INTEGER', s: 'VARCHAR', v: 'INTEGER', l: 'VARCHAR[]' };
const BRONZE_NAMES = ['a', 'b', 'c'] as const;
export const BRONZE_COLUMNS = Object.fromEntries(
  BRONZE_NAMES.map((name) => [name, 'k integer, s varchar, v integer, l varchar[]']),
);
const BRONZE = BRONZE_NAMES.map((name) => bronzeTable(`app.${name}`, COLUMNS));
const LISTS = BRONZE_NAMES.map((name) => `bronze.app.${name}`);

/** Rows that come with their day. */
const DATED = "(select k, s, v from bronze.app.a where date '1999-12-31' + v <= as_of())";

export interface RandomGraphs {
  readonly project: CompiledProject;
  /** Models in build order. */
  readonly graphs: readonly (readonly CompiledModel[])[];
}

/** Graphs that DuckDB accepts; what it refuses (an ambiguous name, a join it cannot do) is left out. */
export async function compileGraphs(random: Random, count: number): Promise<RandomGraphs> {
  const texts = new Map<string, string>();
  for (let graph = 0; graph < count; graph++) {
    const own: string[] = [];
    const size = 1 + random.below(4);
    for (let i = 0; i < size; i++) {
      const table = `m${graph}_${i}`;
      const last = own.at(-1);
      const leaves = [...LISTS, ...own, ...(last === undefined ? [] : [last, last])];
      const query = randomQuery(random, { leaves, lists: LISTS }, 2);
      const asOf = random.chance(0.1);
      const dated = random.chance(0.15);
      const sql = asOf
        ? `select * from (${query}) where v is null or v <= day(as_of())`
        : dated
          ? randomQuery(random, { leaves: [...leaves, DATED, DATED], lists: LISTS }, 2)
          : query;
      const by = random.pick(['k', 'k, s', 's', 'v', 'k, s, v', 'k']);
      const header = [
        'materialized: incremental',
        'key: [k, s, v]',
        `incremental: { by: [${by}] }`,
        ...(asOf ? ['as_of: recompute'] : sql.includes('as_of()') ? ['as_of: appends(v)'] : []),
      ];
      texts.set(`sql/silver/app/${table}.sql`, modelText(sql, header));
      own.push(`silver.${table}`);
    }
  }
  for (;;) {
    try {
      const project = await compile(Object.fromEntries(texts), BRONZE);
      const graphs = Array.from({ length: count }, (_, graph) =>
        project.models.filter(({ table }) => table.startsWith(`m${graph}_`)),
      );
      return { project, graphs: graphs.filter((models) => models.length > 0) };
    } catch (error) {
      if (!isSluiceError(error)) throw error;
      const refused = new Set((error.details['diagnostics'] as readonly Diagnostic[]).map(({ at }) => at.file));
      if (refused.size === 0) throw error;
      for (const file of refused) texts.delete(file);
    }
  }
}

function rowOf(random: Random): string {
  const k = random.pick(['null', '0', '1', '2', '3']);
  const s = random.pick(['null', "'p'", "'q'", "''"]);
  const v = random.pick(['null', '0', '1', '2', '3']);
  return `(${k}, ${s}, ${v}, [${random.pick(['', "'p'", "'q', 'p'", 'null'])}]::varchar[])`;
}

export function firstRows(random: Random): readonly string[] {
  return LISTS.flatMap((table) => {
    const rows = Array.from({ length: random.below(8) }, () => rowOf(random));
    return rows.length === 0 ? [] : [`insert into ${table} values ${rows.join(', ')}`];
  });
}

/** Inserts, updates, deletes, keys that move, rows that come back. */
export function randomChanges(random: Random): readonly string[] {
  return Array.from({ length: random.pick([0, 1, 2, 2, 3, 4, 5]) }, () => {
    const table = random.pick(LISTS);
    const which = random.pick(['k = 1', 'k is null', 'v = 2', "s = 'p'", 's is null', 'k = 2 and v = 1', 'k = 3']);
    return random.pick([
      `insert into ${table} values ${rowOf(random)}`,
      `insert into ${table} values ${rowOf(random)}`,
      `insert into ${table} from ${table} where ${which} limit 1`,
      `delete from ${table} where ${which}`,
      `update ${table} set v = coalesce(v, 0) + 1 where ${which}`,
      `update ${table} set k = ${random.pick(['0', '1', 'null'])} where ${which}`,
      `update ${table} set s = ${random.pick(["'q'", 'null'])} where ${which}`,
    ]);
  });
}
