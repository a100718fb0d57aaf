import type { ParsedModel } from './compile.ts';
import type { RefreshRule } from './model.ts';
import type { BoundColumn } from './sql-engine.ts';
export async function deriveRefreshRule(_: {
  entry: ParsedModel;
  boundColumns: readonly BoundColumn[];
  context: unknown;
}): Promise<RefreshRule> {
  return { kind: 'rebuild', why: 'not yet' };
}
