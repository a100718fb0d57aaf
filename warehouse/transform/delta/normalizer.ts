import type { AstNode } from '../ast.ts';
import type { Frame } from '../query-scope.ts';
import type { BoundColumn } from '../sql-engine.ts';
import type { ColumnNodes } from './normal-expression.ts';
import type { Leaf, Query, SelectQuery, Step } from './normal-query.ts';

/** FROM in normal form: leaves joined one after the other, each under an alias of its own. */
export interface NormalFrom {
  readonly first: Leaf | undefined;
  readonly steps: readonly Step[];
  readonly frame: Frame;
}

/** What must be known besides the query itself. */
export interface NormalContext {
  /** Columns of every table a query may name. */
  readonly columnsOf: (table: string) => readonly BoundColumn[] | undefined;
  /** The query of a view, or undefined for anything else. */
  readonly viewAt: (table: string) => AstNode | undefined;
  readonly isAggregate: (functionName: string) => boolean;
  /** True for macros that hide a window. */
  readonly isWindow: (functionName: string) => boolean;
  readonly isAsOf: (functionName: string) => boolean;
}

interface Cte {
  readonly query: AstNode;
  readonly aliases: readonly string[];
  readonly ctes: ReadonlyMap<string, Cte>;
  readonly frames: readonly Frame[];
}

export interface NormalScope {
  readonly ctes: ReadonlyMap<string, Cte>;
  /** Frames of the queries around, innermost first. */
  readonly frames: readonly Frame[];
}

/** What the parts of one normalization share. */
export interface Normalizer extends NormalContext {
  readonly nodes: ColumnNodes;
  readonly tick: () => void;
  readonly nextAlias: () => string;
  readonly foundTable: (alias: string, table: string) => void;
  readonly query: (node: AstNode, scope: NormalScope) => Query;
  readonly expression: (node: AstNode, scope: NormalScope) => AstNode;
  readonly plainSelect: (from: NormalFrom, outputs: readonly AstNode[], names: SelectQuery['names']) => SelectQuery;
}
