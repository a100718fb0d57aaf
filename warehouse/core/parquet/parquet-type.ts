/** The types of Parquet columns that bronze uses, and how their values lie in memory before they are encoded. */

export type ParquetType =
  | { readonly kind: 'boolean' }
  | { readonly kind: 'int16' | 'int32' | 'int64' | 'uint32' | 'uint64' | 'float' | 'double' }
  /** Days since 1970. */
  | { readonly kind: 'date' }
  /** Microseconds since midnight. */
  | { readonly kind: 'time' }
  /** Microseconds since 1970; utc: an instant (TIMESTAMPTZ). */
  | { readonly kind: 'timestamp'; readonly utc: boolean }
  | { readonly kind: 'uuid' }
  /** At most 38 digits. */
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number }
  | { readonly kind: 'string' | 'json' | 'bytes' }
  /** NULL, empty, or elements that may be NULL. */
  | { readonly kind: 'list'; readonly element: ScalarType }
  /** NULL, or all fields there. */
  | { readonly kind: 'struct'; readonly fields: readonly { readonly name: string; readonly type: ScalarType }[] };

export type ScalarType = Exclude<ParquetType, { readonly kind: 'list' | 'struct' }>;

/** Every column is optional in the file. */
export interface ParquetColumn {
  readonly name: string;
  readonly type: ParquetType;
}

/** Columns whose values nobody sends: the same in every row, or numbers one after another. */
export type GeneratedColumn =
  | { readonly name: string; readonly kind: 'constant'; readonly type: ScalarType; readonly value: string | bigint }
  /** `take` gives the first number of so many rows; it is asked once per row group, in the order of the file. */
  | { readonly name: string; readonly kind: 'sequence'; readonly take: (rows: number) => bigint };

/** One leaf of a column: a plain column has one, a list one, a struct one per field. */
export interface Leaf {
  /** Index of its column. */
  readonly column: number;
  /** Path in the file, e.g. ["tags", "list", "element"]. */
  readonly path: readonly string[];
  readonly type: ScalarType;
  /** True below a list: entries are then described by levels instead of the validity bitmap. */
  readonly repeated: boolean;
  /** 32-bit words of one value; 0: bytes of any length. A boolean takes one word in memory. */
  readonly words: 0 | 1 | 2 | 4;
}

/** The leaves of columns, in the order of the file. */
export function leavesOf(columns: readonly ParquetColumn[]): readonly Leaf[] {
  return columns.flatMap(({ name, type }, column): Leaf[] => {
    if (type.kind === 'struct') {
      return type.fields.map((field) => ({
        column,
        path: [name, field.name],
        type: field.type,
        repeated: false,
        words: wordsOf(field.type),
      }));
    }
    if (type.kind === 'list') {
      const { element } = type;
      return [{ column, path: [name, 'list', 'element'], type: element, repeated: true, words: wordsOf(element) }];
    }
    return [{ column, path: [name], type, repeated: false, words: wordsOf(type) }];
  });
}

export function wordsOf(type: ScalarType): Leaf['words'] {
  switch (type.kind) {
    case 'boolean':
    case 'int16':
    case 'int32':
    case 'uint32':
    case 'float':
    case 'date':
      return 1;
    case 'int64':
    case 'uint64':
    case 'double':
    case 'time':
    case 'timestamp':
      return 2;
    case 'uuid':
      return 4;
    case 'decimal':
      if (type.precision <= 9) return 1;
      return type.precision <= 18 ? 2 : 4;
    case 'string':
    case 'json':
    case 'bytes':
      return 0;
    default:
      throw new Error(`no such type: ${JSON.stringify(type satisfies never)}`);
  }
}
