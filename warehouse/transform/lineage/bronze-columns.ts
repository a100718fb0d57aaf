import { BRONZE_META_COLUMNS } from '../../core/bronze-table.ts';
import type { BronzeTableFacts } from '../bind.ts';
import type { BoundColumn } from '../sql-engine.ts';

/** Columns of bronze.* and bronze_log.* by their names in SQL. */
export function bronzeColumns(
  tables: readonly BronzeTableFacts[],
): readonly (readonly [string, readonly BoundColumn[]])[] {
  return tables.flatMap(({ source, table, contract }) => {
    const own = contract.columns.map(({ name, duckdbType }) => ({ name, type: duckdbType }));
    const meta = BRONZE_META_COLUMNS.map(({ name, duckdbType }) => ({ name, type: duckdbType }));
    const name = `${source}.${table}`.toLowerCase();
    return [
      [`bronze.${name}`, [...own, ...meta.filter((column) => column.name !== '_op')]],
      [`bronze_log.${name}`, [...own, ...meta]],
    ] as const;
  });
}
