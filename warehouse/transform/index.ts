export { type BronzeTableFacts } from './bind.ts';
export {
  assertTestsPassed,
  type Build,
  type BuildLimits,
  type BuildOptions,
  type ModelOutcome,
  openBuild,
  openEngine,
} from './build/index.ts';
export { type CompileCache, openCompileCache } from './cache/compile-cache.ts';
export { type CompileOptions, compileProject } from './compile.ts';
export type { Diagnostic } from './diagnostics.ts';
export type { RowsDifference, SampleRow } from './diff/compare-tables.ts';
export { type DiffOptions, diffWarehouses, type ModelDifference } from './diff/diff-warehouses.ts';
export { type RebuildVerification, verifyRebuild } from './diff/verify-rebuild.ts';
export { type WrittenSite, writeSite } from './docs-site/write-site.ts';
export { type FormatReport, formatProject } from './format/format-project.ts';
export { headerJsonSchema } from './header-json-schema.ts';
export {
  type ColumnLineage,
  type InputColumn,
  type ModelLineage,
  traceLineage,
} from './lineage/column-lineage.ts';
export { loadProject, type ModelFile, type ProjectFile, type ProjectFiles, toModelFile } from './load.ts';
export { asOfMacro, createMacroSql } from './macros.ts';
export {
  type CompiledModel,
  type CompiledProject,
  LAYERS,
  type Layer,
  type Macro,
  type Materialization,
  type Model,
  type ModelTest,
  type RefreshRule,
  type SqlTest,
  TOUCHED_TABLE,
} from './model.ts';
export type { ColumnChange } from './plan/column-changes.ts';
export { comparePlanFacts, type PlanFacts, planFactsSchema } from './plan/plan-facts.ts';
export { type Plan, type PlanChange, type PlanOptions, type PlanStep, planBuild } from './plan.ts';
export { scanSql } from './scan-sql.ts';
export { selectModels } from './select.ts';
export { formatLocation, type SourceLocation } from './source-location.ts';
export { type LintFinding, lintProject } from './style/lint-project.ts';
export { loadUnitFiles } from './unit/load-unit-tests.ts';
export { runUnitTests, type UnitTestOptions } from './unit/run-unit-tests.ts';
export type { UnitFailure, UnitTestResult } from './unit/unit-result.ts';
