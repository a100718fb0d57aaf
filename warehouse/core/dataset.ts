/** What the service needs to know of a gold table: written by the build into the release, read by serving. */

/** Who owns a row. Every gold dataset declares it or does not compile. */
export type Owner =
  | { readonly kind: 'owned'; readonly org: string; readonly user?: string }
  | { readonly kind: 'public'; readonly reason: string };

export const DATASET_GROUPS = ['facts', 'dimensions', 'aggregations'] as const;
export type DatasetGroup = (typeof DATASET_GROUPS)[number];

export interface DatasetColumn {
  readonly name: string;
  /** DuckDB type, e.g. DECIMAL(18,2), UUID, VARCHAR[]. */
  readonly type: string;
  readonly description?: string;
}

export interface Dataset {
  /** The table's name in gold, e.g. fct_transactions. */
  readonly id: string;
  readonly friendlyName: string;
  readonly description: string;
  readonly group: DatasetGroup;
  readonly timeGrain?: 'day' | 'month' | 'transaction' | 'week' | 'year';
  /** Columns that identify a row; the service's default order. */
  readonly key: readonly string[];
  readonly columns: readonly DatasetColumn[];
  readonly owner: Owner;
  readonly filters: {
    /** Column that start_date and end_date bound. */
    readonly dateColumn?: string;
    /** Entity name → column: { account: 'account_id' } gives the parameter account_ids. */
    readonly ids: Readonly<Record<string, string>>;
  };
  /** Set when this dataset is the list of an entity: its first key column holds the ids that its owner may use in filters. */
  readonly entity?: string;
}
