export { type Build, type BuildOptions, type ModelOutcome, openBuild } from './build.ts';
export { assertTestsPassed } from './build-errors.ts';
export { type BuildLimits, openEngine } from './warehouse-engine.ts';
