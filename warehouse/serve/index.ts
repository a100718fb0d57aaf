/** The public edge of serve: what the service, the command line and bench use. */
export type { Caller } from './caller.ts';
export { jsonSchemaOf, parseColumnType } from './column-type.ts';
export { csvField } from './csv-field.ts';
export { ANSWER_FORMATS, type AnswerFormat } from './engine-protocol.ts';
export type { CompareOp, Filter } from './filter.ts';
export { type FollowedReleases, type Following, followReleases } from './follow-releases.ts';
export { DEFAULT_SERVING_LIMITS, type ServingLimits } from './limits.ts';
export type { PinnedRelease } from './pinned-release.ts';
export { type DatasetParameter, type DatasetRequest, parametersOf } from './request.ts';
export { openServing, type QueryOptions, type QueryResult, type Serving, type ServingOptions } from './serving.ts';
