import { z } from 'zod';

/** What sql/unit/<name>/test.yaml and sql/unit/bronze.yaml may say. Strict: an unknown word is an error at its place. */

const name = z.string().min(1);
const date = z.string().regex(/^\d{4}-\d{2}-\d{2}$/, 'is a date, YYYY-MM-DD');
const table = z
  .string()
  .regex(
    /^(bronze\.[^.]+\.[^.]+|silver\.[^.]+|gold\.[^.]+)$/,
    'is bronze.<source>.<table>, silver.<table> or gold.<table>',
  );
const model = z.string().regex(/^(silver|gold)\.[^.]+$/, 'is silver.<table> or gold.<table>');
const row = z.record(name, z.unknown());

/** A CSV file in the test's folder, a list of rows, or a list with the types its columns must have. */
const rows = z.union([
  z.string().regex(/\.csv$/, 'names a .csv file in the folder of the test'),
  z.array(row),
  z.strictObject({ types: z.record(name, name), rows: z.array(row) }),
]);

const change = z.union([
  rows,
  z
    .strictObject({ insert: rows.optional(), update: rows.optional(), delete: rows.optional() })
    .refine((given) => Object.keys(given).length > 0, 'needs insert, update or delete'),
]);

const bronzeTable = z.strictObject({
  key: z.array(name).optional(),
  columns: z.record(name, name).refine((columns) => Object.keys(columns).length > 0, 'must name a column'),
});
const bronzeName = z.string().regex(/^[^.]+\.[^.]+$/, 'is <source>.<table>');

const fails = z.union([z.array(name), z.record(name, z.union([rows, z.null()]))]);

const step = z.strictObject({
  description: z.string().optional(),
  as_of: date.optional(),
  bronze: z.record(bronzeName, bronzeTable).optional(),
  files: z.record(z.string().regex(/^sql\/.+\.sql$/, 'is a file of sql/'), name).optional(),
  given: z.record(table, change).optional(),
  expect: z.record(model, rows).optional(),
  actions: z.record(model, z.enum(['view', 'rebuilt', 'refreshed', 'unchanged'])).optional(),
  fails: fails.optional(),
});

export const unitTestSchema = z.strictObject({
  description: z.string().trim().min(1, 'must not be empty'),
  mode: z.enum(['increment', 'rebuild', 'both']).optional(),
  as_of: date.optional(),
  models: z.array(model).optional(),
  tests: z.boolean().optional(),
  bronze: z.record(bronzeName, bronzeTable).optional(),
  given: z.record(table, change).optional(),
  existing: z.record(model, rows).optional(),
  expect: z.record(model, rows).optional(),
  actions: step.shape.actions,
  fails: fails.optional(),
  steps: z.array(step).min(1, 'needs at least one step').optional(),
});

export type UnitTestFile = z.infer<typeof unitTestSchema>;
export type StepFields = z.infer<typeof step>;
export type RowsField = z.infer<typeof rows>;
export type ChangeField = z.infer<typeof change>;
export type FailsField = z.infer<typeof fails>;
export type BronzeTableField = z.infer<typeof bronzeTable>;

export const bronzeFileSchema = z.record(bronzeName, bronzeTable);
