export type { BackfillOptions } from './backfill.ts';
export {
  type ExtractedBatch,
  type ExtractLimits,
  type ExtractOptions,
  extractBatch,
  type TableOutcome,
} from './extract-batch.ts';
export { inspectSource, type SourceInspection } from './inspect-source.ts';
export { loadSources } from './load-sources.ts';
export {
  type ColumnProposal,
  proposeSources,
  type SourceProposal,
  type TableProposal,
} from './propose-source.ts';
export { renderSource } from './render-source.ts';
export type { SourceDefinition, TableDefinition, TableMode } from './source-definition.ts';
export { type SourceSurvey, surveySource } from './survey-source.ts';
export {
  type DifferenceSample,
  type TableVerification,
  type VerifyOptions,
  type VerifyReport,
  verifySource,
} from './verify-source.ts';
