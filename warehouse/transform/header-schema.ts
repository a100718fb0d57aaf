import { z } from 'zod';
import { DATASET_GROUPS } from '../core/dataset.ts';
import { HARD_DELETES, MATERIALIZATIONS } from './model.ts';
import { STYLE_RULES } from './style/rules.ts';
import { COLUMN_TEST_WORDS, describeUnknownTest, MODEL_TEST_WORDS, parseAge, parseThreshold } from './test-words.ts';

/** What a model's YAML header may say. Strict: an unknown word is an error at its place. */

const name = z.string().min(1);
const text = z.string().trim().min(1, 'must not be empty');
const names = z.array(name).min(1, 'must name at least one column');
const unrepeated = names.refine((list) => new Set(list).size === list.length, 'names a column twice');
const threshold = z
  .string()
  .refine((written) => parseThreshold(written) !== undefined, 'is a comparison, e.g. ">10", "!=0" or ">1%"');
const named = { name: z.string().min(1).optional(), where: text.optional() };
const severity = {
  severity: z.enum(['error', 'warn']).optional(),
  ...named,
  warn_if: threshold.optional(),
  error_if: threshold.optional(),
};
const age = z.string().refine((written) => parseAge(written) !== undefined, 'is a time, e.g. 1 day or 36 hours');
const rowCount = z.int().nonnegative();
const bound = z.union([z.number(), z.string().min(1)]);
const scalar = z.union([z.string(), z.number(), z.boolean()]);

const columnTest = z.union(
  [
    z.enum(['not_null', 'unique']),
    z.strictObject({ not_null: z.union([z.literal(true), z.null()]), ...severity }),
    z.strictObject({ unique: z.union([z.literal(true), z.null()]), ...severity }),
    z.strictObject({ accepted_values: z.array(scalar).min(1), ...severity }),
    z.strictObject({ relationships: z.strictObject({ to: name, column: name }), ...severity }),
    z.strictObject({
      range: z
        .strictObject({ min: bound.optional(), max: bound.optional() })
        .refine((range) => range.min !== undefined || range.max !== undefined, 'needs min, max or both'),
      ...severity,
    }),
  ],
  { error: ({ input }) => describeUnknownTest(input, COLUMN_TEST_WORDS) },
);

const modelTest = z.union(
  [
    z.strictObject({ unique: unrepeated, ...severity }),
    z.strictObject({ expression: text, ...severity }),
    z.strictObject({
      row_count: z
        .strictObject({ min: rowCount.optional(), max: rowCount.optional() })
        .refine((count) => count.min !== undefined || count.max !== undefined, 'needs min, max or both'),
      severity: severity.severity,
      ...named,
    }),
    z.strictObject({
      freshness: z
        .strictObject({ column: name, warn_after: age.optional(), error_after: age.optional() })
        .refine(
          (limits) => limits.warn_after !== undefined || limits.error_after !== undefined,
          'needs warn_after, error_after or both',
        ),
      ...named,
    }),
  ],
  { error: ({ input }) => describeUnknownTest(input, MODEL_TEST_WORDS) },
);

const snapshotCommon = {
  hard_deletes: z.enum(HARD_DELETES).optional(),
  open_end: z
    .string()
    .regex(/^\d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2})?$/, 'is a date or an instant in UTC, e.g. 9999-12-31')
    .optional(),
};

export const headerSchema = z.strictObject({
  description: text,
  materialized: z.enum(MATERIALIZATIONS).optional(),
  key: unrepeated.optional(),
  winner: text.optional(),
  incremental: z.union([z.strictObject({ by: unrepeated }), z.literal('append')]).optional(),
  snapshot: z
    .discriminatedUnion('strategy', [
      z.strictObject({ strategy: z.literal('timestamp'), updated_at: name, ...snapshotCommon }),
      z.strictObject({
        strategy: z.literal('check'),
        columns: z.union([z.literal('all'), unrepeated]),
        ...snapshotCommon,
      }),
    ])
    .optional(),
  columns: z
    .record(
      name,
      z
        .strictObject({ type: text.optional(), description: text.optional(), tests: z.array(columnTest).optional() })
        .nullable(),
    )
    .optional(),
  tests: z.array(modelTest).optional(),
  owner: z.union([z.strictObject({ org: name, user: name.optional() }), z.strictObject({ public: text })]).optional(),
  dataset: z
    .strictObject({
      friendly_name: text,
      group: z.enum(DATASET_GROUPS),
      time_grain: z.enum(['transaction', 'day', 'week', 'month', 'year']).optional(),
      entity: z
        .string()
        .regex(/^[a-z][a-z0-9_]*$/, 'is a lower-case word, e.g. account')
        .optional(),
      filters: z
        .record(
          z.string().regex(/^(date_column|[a-z][a-z0-9_]*_id_column)$/, 'is date_column or <entity>_id_column'),
          name,
        )
        .optional(),
    })
    .optional(),
  tags: z.array(z.string().regex(/^[\w-]+$/, 'is one word of letters, digits, _ and -')).optional(),
  as_of: z
    .string()
    .regex(/^(recompute|appends\(\s*\w+\s*\))$/, 'is recompute or appends(<date column>)')
    .optional(),
  lint: z.strictObject({ allow: z.array(z.enum(STYLE_RULES)).min(1) }).optional(),
});

export type Header = z.infer<typeof headerSchema>;
export type ColumnTestHeader = z.infer<typeof columnTest>;
export type ModelTestHeader = z.infer<typeof modelTest>;

/** Header of a file in sql/tests: its rows are failures. */
export const testHeaderSchema = z.strictObject({
  description: text,
  severity: severity.severity,
  warn_if: threshold.optional(),
  error_if: threshold.optional(),
});
export type TestHeader = z.infer<typeof testHeaderSchema>;
