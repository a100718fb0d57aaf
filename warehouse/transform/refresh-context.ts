import type { CompiledModel } from './model.ts';
import type { ParsedModel } from './parsed-model.ts';
import type { LoadedMacros } from './read-macros.ts';
import type { BoundColumn, SqlEngine } from './sql-engine.ts';

/** What the compiler knows when it comes to a model: everything upstream of it. */
export interface RefreshContext {
  readonly engine: SqlEngine;
  /** Columns of every table bound so far. */
  readonly columns: ReadonlyMap<string, readonly BoundColumn[]>;
  readonly macros: LoadedMacros;
  readonly compiled: ReadonlyMap<string, CompiledModel>;
  readonly byName: ReadonlyMap<string, ParsedModel>;
  /** Columns that bronze's contract says are never NULL, as <table>.<column>. */
  readonly neverNull: ReadonlySet<string>;
}
