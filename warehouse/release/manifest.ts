import { z } from 'zod';
import { DATASET_GROUPS } from '../core/dataset.ts';
import { SluiceError } from '../core/errors.ts';
import { type ReleaseContent, TEST_SCOPES, type WarehouseFile } from '../core/release.ts';

/**
 * The two persisted formats of a release.
 *
 *   warehouse/versions/<version>.json   what a version holds; written once, before anybody can see it
 *   warehouse/_log/<20 digits>.json     which version is current from this number on; created only if absent
 */

export const RELEASE_FORMAT = 1;
export const POINTER_PREFIX = 'warehouse/_log/';

export interface VersionDocument extends ReleaseContent {
  readonly version: string;
  /** The pointer number it was built upon: it was published as `base` + 1 or never. */
  readonly base: number;
  readonly files: Readonly<Record<WarehouseFile, StoredFile>>;
}

export interface StoredFile {
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Pointer {
  readonly format: typeof RELEASE_FORMAT;
  readonly number: number;
  readonly kind: 'publish' | 'rollback';
  readonly version: string;
  readonly publishedAt: string;
}

/** warehouse/private/<name>/<20 digits>.json: the highest number is what the name stands for. */
export const PRIVATE_PREFIX = 'warehouse/private/';

export interface PrivatePointer {
  readonly format: typeof RELEASE_FORMAT;
  readonly name: string;
  readonly number: number;
  readonly version: string;
  readonly madeAt: string;
}

const isoDate = z.string().regex(/^\d{4}-\d{2}-\d{2}$/);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const storedFile = z.strictObject({ key: z.string().min(1), bytes: z.int().nonnegative(), sha256 });
const namedType = z.strictObject({ name: z.string(), type: z.string() });

const modelState = z.strictObject({
  name: z.string(),
  materialized: z.enum(['view', 'table', 'incremental', 'snapshot', 'seed']),
  fingerprint: z.string(),
  shape: z
    .strictObject({ own: z.string(), rows: z.string(), columns: z.record(z.string(), z.string()) })
    .exactOptional(),
  dataVersion: z.int().nonnegative(),
  consumed: z.record(z.string(), z.int().nonnegative()),
  asOf: isoDate.exactOptional(),
  rows: z.int().nonnegative(),
  columns: z.array(namedType),
});

const dataset = z.strictObject({
  id: z.string(),
  friendlyName: z.string(),
  description: z.string(),
  group: z.enum(DATASET_GROUPS),
  timeGrain: z.enum(['day', 'month', 'transaction', 'week', 'year']).exactOptional(),
  key: z.array(z.string()),
  columns: z.array(z.strictObject({ name: z.string(), type: z.string(), description: z.string().exactOptional() })),
  owner: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('owned'), org: z.string(), user: z.string().exactOptional() }),
    z.strictObject({ kind: z.literal('public'), reason: z.string() }),
  ]),
  filters: z.strictObject({ dateColumn: z.string().exactOptional(), ids: z.record(z.string(), z.string()) }),
  entity: z.string().exactOptional(),
});

const testResult = z.strictObject({
  name: z.string(),
  model: z.string(),
  severity: z.enum(['error', 'warn']),
  status: z.enum(['pass', 'warn', 'fail', 'error']),
  failures: z.int().nonnegative(),
  sample: z.array(z.record(z.string(), z.string().nullable())),
  key: z.array(z.string()).exactOptional(),
  kept: z.strictObject({ path: z.string(), rows: z.int().nonnegative() }).exactOptional(),
  scope: z.enum(TEST_SCOPES).exactOptional(),
  definition: z.string().exactOptional(),
});

const versionDocument = z.strictObject({
  format: z.literal(RELEASE_FORMAT),
  version: z.string().min(1),
  base: z.int().nonnegative(),
  files: z.strictObject({ silver: storedFile, gold: storedFile }),
  asOf: isoDate,
  commits: z.record(z.string(), z.int().nonnegative()),
  models: z.array(modelState),
  datasets: z.array(dataset),
  declarations: z.string(),
  tests: z.array(testResult),
});

const pointer = z.strictObject({
  format: z.literal(RELEASE_FORMAT),
  number: z.int().positive(),
  kind: z.enum(['publish', 'rollback']),
  version: z.string().min(1),
  publishedAt: z.iso.datetime(),
});

const privatePointer = z.strictObject({
  format: z.literal(RELEASE_FORMAT),
  name: z.string().min(1),
  number: z.int().positive(),
  version: z.string().min(1),
  madeAt: z.iso.datetime(),
});

export function privateKey(name: string, number: number): string {
  return `${PRIVATE_PREFIX}${name}/${String(number).padStart(20, '0')}.json`;
}

/** Name and number in a private pointer's key; undefined for a foreign object in the folder. */
export function privateOf(key: string): { readonly name: string; readonly number: number } | undefined {
  const [, name, digits] = /^warehouse\/private\/([a-z0-9][a-z0-9_-]*)\/(\d{20})\.json$/.exec(key) ?? [];
  return name === undefined ? undefined : { name, number: Number(digits) };
}

export function versionKey(version: string): string {
  return `warehouse/versions/${version}.json`;
}

export function pointerKey(number: number): string {
  return `${POINTER_PREFIX}${String(number).padStart(20, '0')}.json`;
}

export function fileKey(sha256: string): string {
  return `warehouse/files/${sha256}.duckdb`;
}

/** The number in a pointer's key; undefined for a foreign object in the folder. */
export function pointerNumberOf(key: string): number | undefined {
  const digits = /^warehouse\/_log\/(\d{20})\.json$/.exec(key)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export function encodeDocument(document: VersionDocument | Pointer | PrivatePointer): Uint8Array {
  return Buffer.from(`${JSON.stringify(document, undefined, 1)}\n`);
}

/** Throws LAKE_FORMAT_UNKNOWN for a newer format, LAKE_CORRUPT for anything else that is not a version document. */
export function parseVersion(key: string, bytes: Uint8Array): VersionDocument {
  return parseDocument(versionDocument, key, bytes);
}

export function parsePointer(key: string, bytes: Uint8Array): Pointer {
  return parseDocument(pointer, key, bytes);
}

export function parsePrivatePointer(key: string, bytes: Uint8Array): PrivatePointer {
  return parseDocument(privatePointer, key, bytes);
}

function parseDocument<T>(schema: z.ZodType<T>, key: string, bytes: Uint8Array): T {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw corrupt(key, 'it is not JSON', cause);
  }
  const format = typeof json === 'object' && json !== null && 'format' in json ? json.format : undefined;
  if (typeof format === 'number' && format !== RELEASE_FORMAT) {
    throw new SluiceError('LAKE_FORMAT_UNKNOWN', `${key} has format ${format}; this Sluice reads ${RELEASE_FORMAT}.`, {
      remedy: 'Run the version of Sluice that wrote it, or a newer one.',
    });
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw corrupt(key, z.prettifyError(parsed.error), parsed.error);
  return parsed.data;
}

function corrupt(key: string, why: string, cause: unknown): SluiceError {
  return new SluiceError('LAKE_CORRUPT', `${key} cannot be read: ${why}.`, {
    remedy:
      'Restore the object from a backup, or roll back to a release that is whole: sluice releases, sluice rollback.',
    cause,
  });
}
