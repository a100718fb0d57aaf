import { z } from 'zod';
import { BRONZE_COMMIT_FORMAT, type BronzeCommit } from '../core/bronze-commit.ts';
import { messageOf, SluiceError } from '../core/errors.ts';

/** The one place that reads and writes the JSON of a commit. */

const watermark = z.strictObject({ column: z.string(), value: z.string(), proof: z.string() }).nullable();

const contract = z.strictObject({
  key: z.array(z.string()),
  columns: z.array(
    z.strictObject({
      name: z.string(),
      postgresType: z.string(),
      duckdbType: z.string(),
      nullable: z.boolean(),
      policy: z.enum(['error', 'quarantine', 'text']),
      mask: z.string().optional(),
    }),
  ),
});

const file = z.strictObject({
  key: z.string(),
  rows: z.int().positive(),
  bytes: z.int().positive(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  ops: z.record(z.string(), z.int()),
  firstSeq: z.string().regex(/^\d+$/),
  lastSeq: z.string().regex(/^\d+$/),
  keyMin: z.string().nullable(),
  keyMax: z.string().nullable(),
});

const table = z.strictObject({
  mode: z.enum(['cursor', 'full']),
  contract,
  files: z.array(file),
  replaced: z.boolean(),
  read: z.strictObject({ how: z.enum(['whole', 'cursor', 'range']), rows: z.int(), why: z.string().nullable() }),
  watermark: z.strictObject({ before: watermark, after: watermark }),
});

const commit = z.strictObject({
  format: z.literal(BRONZE_COMMIT_FORMAT),
  source: z.string(),
  number: z.int().positive(),
  batch: z.string(),
  committedAt: z.string(),
  identity: z.strictObject({
    systemIdentifier: z.string().nullable(),
    databaseOid: z.string(),
    database: z.string(),
    schema: z.string(),
  }),
  snapshot: z.strictObject({ id: z.string(), at: z.string(), lsn: z.string().nullable() }),
  tables: z.record(z.string(), table),
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
  if (typeof format === 'number' && format !== BRONZE_COMMIT_FORMAT) {
    throw new SluiceError(
      'LAKE_FORMAT_UNKNOWN',
      `The commit ${key} has format ${format}; this Sluice reads format ${BRONZE_COMMIT_FORMAT}.`,
      {
        remedy: 'Run the version of Sluice that wrote the lake, or a later one.',
      },
    );
  }
  const parsed = commit.safeParse(json);
  if (!parsed.success) throw corrupt(key, z.prettifyError(parsed.error));
  if (parsed.data.source !== expected.source || parsed.data.number !== expected.number) {
    throw corrupt(key, `it calls itself ${parsed.data.source} number ${parsed.data.number}`);
  }
  return parsed.data;
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
