import { z } from 'zod';
import { DATASET_GROUPS } from '../core/dataset.ts';
import { MATERIALIZATIONS } from './model.ts';

/** What a model's YAML header may say. Strict: an unknown word is an error at its place. */

const name = z.string().min(1);
const text = z.string().trim().min(1, 'must not be empty');
const names = z.array(name).min(1, 'must name at least one column');
const unrepeated = names.refine((list) => new Set(list).size === list.length, 'names a column twice');
const severity = { severity: z.enum(['error', 'warn']).optional(), name: z.string().min(1).optional() };
const bound = z.union([z.number(), z.string().min(1)]);
const scalar = z.union([z.string(), z.number(), z.boolean()]);

const columnTest = z.union([
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
]);

const modelTest = z.union([
  z.strictObject({ unique: unrepeated, ...severity }),
  z.strictObject({ expression: text, ...severity }),
]);

export const headerSchema = z.strictObject({
  description: text,
  materialized: z.enum(MATERIALIZATIONS).optional(),
  key: unrepeated.optional(),
  incremental: z.union([z.strictObject({ by: unrepeated }), z.literal('append')]).optional(),
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
});

export type Header = z.infer<typeof headerSchema>;
export type ColumnTestHeader = z.infer<typeof columnTest>;
export type ModelTestHeader = z.infer<typeof modelTest>;

/** Header of a file in sql/tests: its rows are failures. */
export const testHeaderSchema = z.strictObject({ description: text, severity: severity.severity });
export type TestHeader = z.infer<typeof testHeaderSchema>;
