import { createHash, createHmac } from 'node:crypto';
import { SluiceError } from '../core/errors.ts';
import { quoteIdentifier } from '../core/quote.ts';
import type { SourceDefinition, TableDefinition } from './source-definition.ts';

/**
 * Masks are applied by Postgres, in the SELECT that is copied: a raw value never reaches this process, the spool or the lake. A hash is
 * HMAC-SHA256 of the text that would have been carried (of a float: of its bytes): equal values give equal hashes, in every column and table, so joins still hold.
 *
 *   secret ──► inner and outer pad ──► settings of the session ──► sha256(outer || sha256(inner || text)), in hex
 *
 * The pads are bound values of set_config() and no part of a statement: neither pg_stat_activity nor a log of statements shows them.
 */

export type MaskKind = 'hash' | 'drop';

const INNER = 'sluice.mask_inner';
const OUTER = 'sluice.mask_outer';
const BLOCK_BYTES = 64;

/** How a column is masked; a column may be called constructor, so only the definition's own words count. */
export function maskOf(definition: TableDefinition, column: string): MaskKind | undefined {
  return definition.mask !== undefined && Object.hasOwn(definition.mask, column) ? definition.mask[column] : undefined;
}

/** What a session must run before it reads a masked column: name and value of its settings. */
export function maskSettings(secret: string): readonly { readonly name: string; readonly value: string }[] {
  const raw = Buffer.from(secret, 'utf8');
  const key = Buffer.alloc(BLOCK_BYTES);
  (raw.length > BLOCK_BYTES ? createHash('sha256').update(raw).digest() : raw).copy(key);
  const pad = (mark: number): string => Buffer.from(key.map((byte) => byte ^ mark)).toString('hex');
  return [
    { name: INNER, value: pad(0x36) },
    { name: OUTER, value: pad(0x5c) },
  ];
}

/** How a column is masked, as its contract says it: another secret gives other hashes, so the contract names which one it was. */
export function maskContract(kind: MaskKind, secret: string | undefined): string {
  if (kind === 'drop') return 'drop';
  if (secret === undefined) throw new Error('a hash needs the secret of masks');
  return `hash:${createHmac('sha256', secret).update('sluice: name of this secret').digest('hex').slice(0, 8)}`;
}

/** SQL for Postgres that yields what leaves it in place of a column; its type below any domains: as in DDL, and its name in pg_type. */
export function maskedSql(
  column: string,
  type: { readonly text: string; readonly name: string; readonly builtIn: boolean },
  kind: MaskKind,
): string {
  const name = quoteIdentifier(column);
  if (kind === 'drop') return `null::${type.text}`;
  // A float's text depends on extra_float_digits, which verify changes; its bytes do not.
  const isFloat = type.builtIn && (type.name === 'float4' || type.name === 'float8');
  const bytes = isFloat ? `${type.name}send(${name})` : `convert_to(format('%s', ${name}), 'UTF8')`;
  // As scalar subqueries the pads are decoded once per statement. num_nulls, because IS NULL also holds for a composite of NULLs.
  const pad = (setting: string): string => `(select decode(current_setting('${setting}'), 'hex'))`;
  return `case when num_nulls(${name}) = 0 then encode(sha256(${pad(OUTER)} || sha256(${pad(INNER)} || ${bytes})), 'hex') end`;
}

/** Throws CONFIG_INVALID when a source hashes columns and there is no secret to hash them with. */
export function requireMaskSecret(sources: readonly SourceDefinition[], secret: string | undefined): void {
  if (secret !== undefined) return;
  for (const source of sources) {
    for (const [table, definition] of Object.entries(source.tables)) {
      const column = Object.entries(definition.mask ?? {}).find(([, kind]) => kind === 'hash')?.[0];
      if (column === undefined) continue;
      throw new SluiceError(
        'CONFIG_INVALID',
        `The source ${source.name} masks ${table}.${column} with a hash, and SLUICE_MASK_SECRET is not set.`,
        {
          remedy:
            'Set SLUICE_MASK_SECRET to at least 32 random characters, e.g. from: openssl rand -base64 32. Keep it: with another one every hash changes.',
          details: { source: source.name, table, column },
        },
      );
    }
  }
}
