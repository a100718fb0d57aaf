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
export { type KnownFile, loadProject, type ModelFile, type ProjectFile, type ProjectFiles } from './load.ts';
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
export { type Plan, type PlanChange, type PlanOptions, type PlanStep, planBuild } from './plan.ts';
export { selectModels } from './select.ts';
export { formatLocation, type SourceLocation } from './source-location.ts';
