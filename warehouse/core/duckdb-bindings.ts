import { createRequire } from 'node:module';
import type * as Bindings from '@duckdb/node-api';

/**
 * DuckDB's bindings for Node, the only place that loads them. By `require`, as the CommonJS package that it is: an `import` has Node read each
 * of its 180 files for the names that it exports before it runs them, which costs three times as much as loading it.
 */
const require = createRequire(import.meta.url);
const bindings = require('@duckdb/node-api') as typeof Bindings;

export const {
  DuckDBArrayValue,
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBInstance,
  DuckDBListValue,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  listValue,
  StatementType,
  version,
} = bindings;

export type DuckDBInstance = Bindings.DuckDBInstance;
export type StatementType = Bindings.StatementType;
