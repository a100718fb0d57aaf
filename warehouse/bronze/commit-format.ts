import { z } from 'zod';
import {
  BRONZE_COMMIT_FORMAT,
  type BronzeCommit,
  CONSISTENCIES,
  READ_HOWS,
  TABLE_MODES,
} from '../core/bronze-commit.ts';
import { COLUMN_POLICIES } from '../core/bronze-table.ts';
import { messageOf, SluiceError } from '../core/errors.ts';

/** The one place that reads and writes the JSON of a commit; the parts that a checkpoint shares are exported. */

const sweep = z.strictObject({ snapshot: z.string(), proof: z.string(), seen: z.array(z.string()).optional() });

export const watermark = z
  .strictObject({ column: z.string(), value: z.string(), proof: z.string(), sweep: sweep.optional() })
  .nullable();

export const contract = z.strictObject({
  key: z.array(z.string()),
  columns: z.array(
    z.strictObject({
      name: z.string(),
      postgresType: z.string(),
      duckdbType: z.string(),
      nullable: z.boolean(),
      policy: z.enum(COLUMN_POLICIES),
      mask: z.string().optional(),
    }),
  ),
});

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const file = z.strictObject({
  key: z.string(),
  rows: z.int().positive(),
  bytes: z.int().positive(),
  sha256,
  ops: z.record(z.string(), z.int()),
  firstSeq: z.string().regex(/^\d+$/),
  lastSeq: z.string().regex(/^\d+$/),
  keyMin: z.string().nullable(),
  keyMax: z.string().nullable(),
});

export const quarantineFile = z.strictObject({
  key: z.string(),
  rows: z.int().positive(),
  bytes: z.int().positive(),
  sha256,
});

const quarantined = z.strictObject({ rows: z.int().nonnegative(), files: z.array(quarantineFile) });

export const mode = z.enum(TABLE_MODES);
export const consistency = z.enum(CONSISTENCIES);

const table = z.strictObject({
  mode,
  consistency,
  contract,
  files: z.array(file),
  replaced: z.boolean(),
  quarantined,
  read: z.strictObject({ how: z.enum(READ_HOWS), rows: z.int(), why: z.string().nullable() }),
  watermark: z.strictObject({ before: watermark, after: watermark }),
});

export const identity = z.strictObject({
  systemIdentifier: z.string().nullable(),
  databaseOid: z.string(),
  database: z.string(),
  schema: z.string(),
});

export const snapshot = z.strictObject({ id: z.string(), at: z.string(), lsn: z.string().nullable() });

const commit = z.strictObject({
  format: z.literal(BRONZE_COMMIT_FORMAT),
  source: z.string(),
  number: z.int().positive(),
  batch: z.string(),
  committedAt: z.string(),
  identity,
  snapshot,
  tables: z.record(z.string(), table),
});

/** Format 1 knew neither rows set aside nor resumed loads. */
const commitOfFormat1 = commit.extend({
  format: z.literal(1),
  tables: z.record(z.string(), table.omit({ consistency: true, quarantined: true })),
});

export function encodeCommit(entry: BronzeCommit): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(entry, null, 1)}\n`);
}

/** Throws LAKE_FORMAT_UNKNOWN for a commit of a later Sluice, LAKE_CORRUPT for anything else that is not a commit. */
export function decodeCommit(
  bytes: Uint8Array,
  key: string,
  expected: { source: string; number: number },
): BronzeCommit {
  const json = parseJson(bytes, key);
  const format = z.looseObject({ format: z.unknown() }).safeParse(json).data?.format;
  if (typeof format === 'number' && format !== 1 && format !== BRONZE_COMMIT_FORMAT) {
    throw new SluiceError(
      'LAKE_FORMAT_UNKNOWN',
      `The commit ${key} has format ${format}; this Sluice reads formats 1 to ${BRONZE_COMMIT_FORMAT}.`,
      {
        remedy: 'Run the version of Sluice that wrote the lake, or a later one.',
      },
    );
  }
  const parsed = format === 1 ? commitOfFormat1.transform(upgrade).safeParse(json) : commit.safeParse(json);
  if (!parsed.success) throw corrupt(key, z.prettifyError(parsed.error));
  if (parsed.data.source !== expected.source || parsed.data.number !== expected.number) {
    throw corrupt(key, `it calls itself ${parsed.data.source} number ${parsed.data.number}`);
  }
  return parsed.data;
}

function upgrade(old: z.infer<typeof commitOfFormat1>): BronzeCommit {
  const tables = Object.entries(old.tables).map(
    ([name, entry]) => [name, { ...entry, consistency: 'exact', quarantined: { rows: 0, files: [] } }] as const,
  );
  return { ...old, format: BRONZE_COMMIT_FORMAT, tables: Object.fromEntries(tables) };
}

function parseJson(bytes: Uint8Array, key: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw corrupt(key, messageOf(error));
  }
}

function corrupt(key: string, what: string): SluiceError {
  return new SluiceError('LAKE_CORRUPT', `The commit ${key} cannot be read: ${what}.`, {
    remedy: 'Restore the object from a copy of the lake; nothing else holds what it said.',
  });
}
