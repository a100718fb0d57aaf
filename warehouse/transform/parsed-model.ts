import type { AstNode } from './ast.ts';
import type { ReadModel } from './read-model.ts';
import type { References } from './references.ts';

/** A model on its way through the compiler: its SELECT parsed, nothing bound yet. */
export interface ParsedModel extends ReadModel {
  readonly query: AstNode;
  readonly references: References;
  /** Sorted, without repeats. */
  readonly dependencies: readonly string[];
}
