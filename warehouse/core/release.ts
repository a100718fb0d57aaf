import type { AsOf } from './bronze-table.ts';
import type { Dataset } from './dataset.ts';

/** What one version of the warehouse holds: plain data between transform, release and serve. */

export const WAREHOUSE_FILES = ['silver', 'gold'] as const;
export type WarehouseFile = (typeof WAREHOUSE_FILES)[number];
/** Local paths of the two DuckDB files. */
export type WarehousePaths = Readonly<Record<WarehouseFile, string>>;

/** Hashes of what a model's own text, its rows and each of its columns are made of. */
export interface StoredShape {
  readonly own: string;
  readonly rows: string;
  readonly columns: Readonly<Record<string, string>>;
}

/** A model as it stands in a release: its ledger. */
export interface ModelState {
  /** silver.x or gold.x */
  readonly name: string;
  readonly materialized: 'view' | 'table' | 'incremental' | 'snapshot' | 'seed';
  /** Hash of the parsed query, header facts that matter, macros and upstream columns. */
  readonly fingerprint: string;
  /** Absent in releases that knew nothing of it: then every column may have changed. */
  readonly shape?: StoredShape;
  /** Counts up each time the content changes; consumers compare it with what they consumed. */
  readonly dataVersion: number;
  /** Data version (models) or commit number (bronze.<source>.<table>) of each dependency at the last refresh. */
  readonly consumed: Readonly<Record<string, number>>;
  /** The as_of it was computed for, when it reaches as_of(). */
  readonly asOf?: AsOf;
  /** Of a silver view as its tests counted them; 0 when none did. */
  readonly rows: number;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
}

export const TEST_SCOPES = ['whole', 'changes', 'unchanged'] as const;
export type TestScope = (typeof TEST_SCOPES)[number];

export interface TestResult {
  /** e.g. gold.dim_tags.tag_id.not_null */
  readonly name: string;
  readonly model: string;
  readonly severity: 'error' | 'warn';
  readonly status: 'pass' | 'warn' | 'fail' | 'error';
  readonly failures: number;
  /** At most 5 failing rows, each as column → text; the columns that identify a row come first. */
  readonly sample: readonly Readonly<Record<string, string | null>>[];
  /** Columns of the sample that identify a row. */
  readonly key?: readonly string[];
  /** The failing rows that were written down, at most 100, as one JSON object a line. */
  readonly kept?: { readonly path: string; readonly rows: number };
  /** What was looked at to say so: the whole table, the rows that changed since a release in which the test found none, or nothing, for nothing changed. */
  readonly scope?: TestScope;
  /** Hash of what the test says: only a verdict on the same test is carried over. */
  readonly definition?: string;
}

/** Everything about a version but its bytes; `format` is the version of this shape. */
export interface ReleaseContent {
  readonly format: 1;
  readonly asOf: AsOf;
  /** Bronze commits the version was built from, per source. */
  readonly commits: Readonly<Record<string, number>>;
  readonly models: readonly ModelState[];
  readonly datasets: readonly Dataset[];
  /** Hash of tests, owners, datasets and descriptions; a build publishes again when the project's moves. */
  readonly declarations: string;
  readonly tests: readonly TestResult[];
}

export interface Release extends ReleaseContent {
  /** Unique id of the content, e.g. 20261121T081500Z-1a2b3c4d. */
  readonly version: string;
  /** Its number in the pointer log; a rollback gives an old version a new number. */
  readonly number: number;
  readonly kind: 'publish' | 'rollback';
  /** ISO instant of publication. */
  readonly publishedAt: string;
  readonly files: Readonly<
    Record<WarehouseFile, { readonly key: string; readonly bytes: number; readonly sha256: string }>
  >;
}
